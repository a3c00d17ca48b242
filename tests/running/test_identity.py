"""Ids sort by time and never repeat."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

from posthouse.running.identity import earliest_id, new_id
from posthouse.running.waiting import wait_before_retry


def test_ids_are_uuid_version_7_in_increasing_order() -> None:
    ids = [new_id() for _ in range(10_000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {(7, "specified in RFC 4122")} == {(each.version, each.variant) for each in ids}


def test_an_id_is_like_any_other_uuid() -> None:
    made = new_id()
    other = UUID(str(made))

    assert (made, hash(made), repr(made)) == (other, hash(other), repr(other))
    assert made.is_safe is other.is_safe
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301


def test_threads_get_different_ids() -> None:
    with ThreadPoolExecutor(4) as pool:
        each = list(pool.map(lambda _: [new_id() for _ in range(5_000)], range(8)))

    assert len({id_ for ids in each for id_ in ids}) == 40_000
    assert all(ids == sorted(ids) for ids in each)


def test_a_forked_child_draws_other_chances_than_its_parent() -> None:
    """The time of two ids may be the same; the 62 bits that are left must not be."""
    new_id()  # the parent has drawn a block, and used little of it
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(new_id().bytes for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    octets = os.read(reading, 1_600)
    os.close(reading)
    os.close(writing)
    childs = {octets[at + 8 : at + 16] for at in range(0, 1_600, 16)}

    assert len(childs) == 100
    assert not childs & {new_id().bytes[8:] for _ in range(600)}


def test_an_id_holds_the_time_it_was_made() -> None:
    before = datetime.now(UTC)
    made = new_id()
    after = datetime.now(UTC)

    assert earliest_id(before) <= made < earliest_id(after + timedelta(milliseconds=1))


def test_the_earliest_id_of_an_instant_is_exact_to_the_millisecond() -> None:
    when = datetime(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC)

    assert str(earliest_id(when)) == "01a2008d-73ff-7000-8000-000000000000"
    assert earliest_id(when) < earliest_id(when + timedelta(microseconds=1))


def test_waits_double_up_to_the_longest_and_chance_only_shortens() -> None:
    waits = [wait_before_retry(failures, 0.0) for failures in (1, 2, 3, 7, 1000)]

    assert waits == [0.1, 0.2, 0.4, 5.0, 5.0]
    assert wait_before_retry(1, 0.5, first=1.0) == 0.75
