"""What hints look like on the wire."""

import msgspec
import pytest

from posthouse.broker import Hint, InvalidHint, deliveries_queue, submissions_queue
from posthouse.mail.lane import Lane


def test_a_hint_is_read_as_it_was_written() -> None:
    hint = Hint(lane=Lane.BULK, count=300)
    assert Hint.decode(hint.encode()) == hint


def test_a_hint_is_a_few_bytes() -> None:
    assert len(Hint(lane=Lane.NORMAL, count=100).encode()) < 16


def test_a_newer_version_is_read_as_far_as_it_is_understood() -> None:
    newer = msgspec.msgpack.encode({"v": 2, "l": 1, "n": 7, "site": "mx.example", "x": [1, 2]})
    assert Hint.decode(newer) == Hint(lane=Lane.VERY_HIGH, count=7, version=2)


def test_what_an_older_version_did_not_say_is_filled_in() -> None:
    assert Hint.decode(msgspec.msgpack.encode({"l": 2})) == Hint(lane=Lane.HIGH, count=1)


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"hello", b"\x80", b'{"l": 1}'])
def test_anything_else_is_refused_with_what_was_seen(body: bytes) -> None:
    with pytest.raises(InvalidHint, match="is not a hint"):
        Hint.decode(body)


def test_every_lane_has_queues_of_its_own() -> None:
    names = {make(lane) for make in (submissions_queue, deliveries_queue) for lane in Lane}
    assert len(names) == 10
    assert submissions_queue(Lane.VERY_HIGH) == "submissions.1"
    assert deliveries_queue(Lane.BULK) == "deliveries.5"
