"""Write a file of an installation so that nobody sees half of it."""

import os
from pathlib import Path


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write *path* so that it is complete or missing, and never readable for other users.

    Its owner is that of its folder, where root writes it. Raises OSError.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
