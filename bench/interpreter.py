"""Whether this Python was built with optimisation. Standard library only: any Python can run it.

    PYTHON bench/interpreter.py

ends with status 0 if PYTHON was built with profile-guided optimisation. Our peers are a
distribution's own optimised programs; a Python compiled without it (pyenv's default)
takes about 8 % more CPU for the same mail.
"""

import sys
import sysconfig
from pathlib import Path


def interpreter_path() -> str:
    """Its path; of a virtual environment the target of the link, not the link."""
    return str(Path(sys.executable).resolve())


def is_optimised() -> bool:
    """Whether it was built with profile-guided optimisation, as far as its own configuration says.

    `configure` records its arguments. Debian and Ubuntu optimise without them and remove the flags
    afterwards: their builds are known by folders that only they have.
    """
    words = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "--enable-optimizations" in words or "deb_system" in sysconfig.get_scheme_names()


if __name__ == "__main__":
    sys.exit(not is_optimised())
