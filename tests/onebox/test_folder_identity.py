"""The identity of a data folder: another one for every copy, the same for a new owner."""

import shutil
import time
from pathlib import Path

import pytest

from onebox.postgres_folder import identity

NAME = "PG_VERSION"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with nothing but the file that is asked."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / NAME).write_text("15\n")
    time.sleep(0.02)  # the kernel's times of files tick each 1 to 10 ms
    return folder


def put_back_with_the_same_number(data: Path) -> None:
    """Replace *data* by a copy whose file has the inode number of the deleted one.

    That is what happens by itself when a backup is put back twice on ext4.
    """
    number = (data / NAME).stat().st_ino
    copy = data.with_name("copy")
    shutil.copytree(data, copy)
    shutil.rmtree(data)
    data.mkdir()
    for attempt in range(2000):
        file = data / f"{NAME}.{attempt}"
        shutil.copy2(copy / NAME, file)
        if file.stat().st_ino == number:
            file.rename(data / NAME)
            return
    pytest.skip("this file system does not use an inode number again")


def test_a_copy_is_another_folder_also_where_it_got_the_inode_number_of_the_old_one(
    data: Path,
) -> None:
    before = identity(data).split(":")
    put_back_with_the_same_number(data)
    after = identity(data).split(":")
    assert all(a != b for a, b in zip(before, after, strict=True)), (before, after)


def test_a_new_owner_or_mode_alters_one_part_only(data: Path) -> None:
    born, changed = identity(data).split(":")
    (data / NAME).chmod(0o640)
    assert born == identity(data).split(":")[0]
    assert changed != identity(data).split(":")[1]


def test_it_stays_the_same_while_nothing_happens(data: Path) -> None:
    assert identity(data) == identity(data)


def test_without_a_birth_time_the_inode_number_stands_in(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a C library that has no statx, or on a file system that keeps no birth times."""
    monkeypatch.setattr("onebox.postgres_folder.ctypes.CDLL", lambda _: object())
    state = (data / NAME).stat()
    assert f"{state.st_ino}:{state.st_ctime_ns}" == identity(data)
