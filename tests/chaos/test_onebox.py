"""The onebox is killed and stopped under load: nothing is lost, nothing doubled without need."""

import pytest
from bench.sink_session import Manners

from chaos.flow import flowing
from chaos.relay import Onebox
from chaos.strikes import How, moments, strike


async def test_kills_lose_nothing_and_double_no_more_than_was_on_the_wire(onebox: Onebox) -> None:
    """What was on the wire when the process died is sent again, and each such case is recorded."""
    async with flowing(onebox, 1000) as flow:
        await strike(flow, [onebox.program], How.KILL, moments(3, seed=1))
        count = await flow.all_through(within=60)

    assert (1000, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert count.doubled <= count.uncertain, count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


async def test_stops_lose_and_double_nothing(onebox: Onebox) -> None:
    """SIGTERM finishes what is in flight: not even a client has to wonder."""
    async with flowing(onebox, 600) as flow:
        await strike(flow, [onebox.program], How.STOP, moments(2, seed=2))
        count = await flow.all_through(within=60)

    assert (600, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.uncertain, count.resubmitted), count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


@pytest.mark.parametrize("cut", [0.1])
async def test_a_receiver_that_hangs_up_after_the_dot_gets_it_again(
    onebox: Onebox, cut: float
) -> None:
    """Nobody can know whether it was kept (RFC 1047): sent again, as often as it was cut."""
    async with flowing(onebox, 400, manners=Manners(cut=cut, seed=3)) as flow:
        count = await flow.all_through(within=60, nudging=True)

    assert (400, 0) == (count.accepted, count.lost), count
    assert count.cut > 0
    assert (0, count.cut) == (count.doubled, count.uncertain), count
