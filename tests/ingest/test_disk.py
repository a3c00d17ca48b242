"""Room on the disk of the database: what is free, and what its log will write over."""

import os
from pathlib import Path

import pytest

from ingest.backpressure import Disk, least_free, room, segments_ahead

SEGMENT = 16 << 20


@pytest.mark.parametrize(
    ("free", "ahead", "expected"),
    [(7, 0, 7), (7, 2, 7 + 2 * SEGMENT), (7, 3, 7 + 3 * SEGMENT), (7, 60, 7 + 3 * SEGMENT)],
)
def test_segments_of_the_log_that_wait_to_be_used_are_room(
    free: int, ahead: int, expected: int
) -> None:
    """As many as the log needs, for nothing else can use them."""
    assert expected == room(free, ahead)


def written(folder: Path, number: int, *, at: int) -> None:
    """A segment of the log, last written to at that time."""
    file = folder / f"{number:024X}"
    file.touch()
    os.utime(file, (at, at))


def test_a_segment_is_ahead_if_it_comes_after_the_one_that_was_written_last(tmp_path: Path) -> None:
    """Recycled ones keep the time at which they were written in their earlier life."""
    (tmp_path / "archive_status").mkdir()
    assert 0 == segments_ahead(tmp_path)
    for number, at in ((7, 300), (8, 400), (9, 100), (10, 200)):
        written(tmp_path, number, at=at)
    assert 2 == segments_ahead(tmp_path)


def test_a_disk_is_full_only_while_neither_is_enough(tmp_path: Path) -> None:
    now = 0.0
    log = tmp_path / "pg_wal"
    log.mkdir()
    written(log, 1, at=900)
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize
    disk = Disk(tmp_path, free + 2 * SEGMENT, lambda: now)
    assert not disk.has_room()
    for number in (2, 3, 4):
        written(log, number, at=100)
    assert not disk.has_room()  # looked a moment ago
    now += 1
    assert disk.has_room()


def test_a_disk_that_cannot_be_looked_at_has_room(tmp_path: Path) -> None:
    assert Disk(tmp_path / "away", least_free(1), lambda: 0.0).has_room()
