"""The first data of a PostgreSQL: initdb takes a second of a processor, a copy a tenth."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from onebox.postgres_data import data_of, initdb_ahead


def put_first_data(folder: Path) -> None:
    """Give the server in *folder* what it would make at its first start, unless it has data."""
    if data_of(folder).exists():
        return
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    copy = ["cp", "--archive", "--reflink=auto", str(_template()), str(data_of(folder))]
    subprocess.run(copy, check=True, timeout=300)


@cache
def _template() -> Path:
    """Made once by each process of a run."""
    folder = Path(tempfile.mkdtemp(prefix="posthouse-first-data-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)  # initdb runs as another user than root
    with initdb_ahead(folder / "postgres"):
        pass
    return data_of(folder / "postgres")
