"""A disk so small that a test can fill it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CHUNK = bytes(64 << 10)


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of that size, as long as inside; skips the test where it cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("a full disk: only root may mount one of its own")
    with tempfile.TemporaryDirectory(prefix="posthouse-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"a full disk: {done.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(disk: Path, but_for: int) -> Iterator[None]:
    """While inside, *disk* has only *but_for* octets left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(_CHUNK) == len(_CHUNK):
                pass
        except OSError:
            pass
        file.truncate(max(file.tell() - but_for, 0))
    try:
        yield
    finally:
        filler.unlink()
