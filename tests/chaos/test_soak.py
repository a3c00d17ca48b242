"""The soak in a short form: a steady rate, and kills by the clock; `make soak` lasts an hour."""

from chaos.ordeal import Running
from chaos.relay import Onebox
from chaos.report import Surroundings
from chaos.soak import Regime, full_rate, soak
from chaos.soaked import Soaked


async def test_a_short_soak_loses_nothing(onebox: Onebox) -> None:
    assert await full_rate(onebox, 200, Running("burst", 200)) > 0

    regime = Regime(seconds=16, kill_every=5, rate=50)
    running = Running("soak", 0)
    result, memory = await soak(onebox, regime, running)

    assert () == result.broken, result.count
    assert (800, 3) == (running.messages, running.struck)
    soaked = Soaked(Surroundings.now(), regime, 100.0, result, memory.lives(regime.warm_up))
    assert () == soaked.broken
    assert "| soak | half load, a kill a minute | 3 |" in soaked.as_markdown()
    # A life for each process at the start and after each kill, though none as long as a minute.
    assert len(soaked.lives) >= regime.kills + 1
