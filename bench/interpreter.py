"""How the Python was built that runs us. Standard library only: any Python may be asked.

    PYTHON bench/interpreter.py

ends with status 0 if PYTHON was built with profile-guided optimisation. Our peers are a
distribution's own optimised programs; a Python that was compiled without (pyenv's is, by default)
takes about 8 % more CPU for the same mail.
"""

import sys
import sysconfig
from pathlib import Path


def interpreter_path() -> str:
    """Where it lies; what a virtual environment links to, and not the link."""
    return str(Path(sys.executable).resolve())


def is_optimised() -> bool:
    """Whether it was built with profile-guided optimisation, as far as it says so itself.

    `configure` keeps its words. Debian and Ubuntu profile without them and wipe the flags away
    afterwards: theirs are known by the folders that only they have.
    """
    words = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "--enable-optimizations" in words or "deb_system" in sysconfig.get_scheme_names()


if __name__ == "__main__":
    sys.exit(not is_optimised())
