"""When a request is tried again, and who is to blame."""

from datetime import timedelta

import pytest

from posthouse.webhooks.event_batch import EndpointFailures
from webhooks.core.endpoint_pace import MOST_IN_FLIGHT, PauseRule, Waits, room_after, waits_after

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "failures", "batch_alone"),
    [(400, 0, True), (422, 2, True), (413, 3, False), (404, 0, False), (503, 0, False)],
)
def test_who_waits(status: int, failures: int, *, batch_alone: bool) -> None:
    """A batch that is refused for what it is; but not where every batch is."""
    waits = waits_after(status, tries=0, failures=failures, chance=0.5)
    assert batch_alone == (waits.batch is not None)
    assert batch_alone == (waits.endpoint is None)


def test_waits_grow_to_an_hour_and_differ_by_a_fifth() -> None:
    waits = [waits_after(None, tries=0, failures=n, chance=0.5).endpoint for n in range(9)]
    assert [5, 15, 60, 300, 900, 1800, 3600, 3600, 3600] == [w and w.total_seconds() for w in waits]
    assert Waits(endpoint=timedelta(seconds=4)) == waits_after(
        None, tries=0, failures=0, chance=0.0
    )


def test_an_endpoint_may_ask_for_time_but_not_for_days() -> None:
    for asked, expected in ((1, 5), (120, 120), (86400, 3600)):
        waits = waits_after(429, tries=0, failures=0, chance=0.5, asked=timedelta(seconds=asked))
        assert timedelta(seconds=expected) == waits.endpoint


def test_more_at_once_only_while_all_goes_well() -> None:
    room = 1
    for _ in range(20):
        room = room_after(room, success=True)
    assert MOST_IN_FLIGHT == room
    assert 1 == room_after(room, success=False)


def test_an_endpoint_is_paused_when_it_failed_for_long_and_often() -> None:
    rule = PauseRule(after=HOUR, failures=3)
    cases = ((3, HOUR, True), (2, 9 * HOUR, False), (99, HOUR / 2, False), (99, None, False))
    for count, since, expected in cases:
        assert expected == rule.says(EndpointFailures(count, since))
