"""The gauges of the queue do not depend on one service: they come from whichever is in charge."""

from pathlib import Path

from chaos.knock import knock
from faults.broker import metric
from faults.database import Brokerless
from servers.patience import eventually


async def test_the_queue_is_shown_while_no_dispatcher_runs_and_whoever_else_dies(
    tmp_path: Path,
) -> None:
    relay = Brokerless(tmp_path)
    try:
        await relay.start_database()
        services = [relay.programs[name] for name in ("ingest", "policy", "bounces")]
        for program in services:
            program.launch()
        await eventually(services[0].is_ready, within=60)
        assert (await knock(relay.customer.normal)).startswith("250 ")

        async def shown_by() -> list[int]:
            """Those that show the message, which waits for a dispatcher."""
            labels = {"stage": "delivery", "lane": "normal", "state": "ready"}
            return [
                number
                for number, program in enumerate(services)
                if 1 in await metric(program, "posthouse_queue_messages", **labels)
            ]

        async def by_one() -> bool:
            return len(await shown_by()) == 1

        await eventually(by_one, within=60)
        (in_charge,) = await shown_by()
        await services.pop(in_charge).kill()
        await eventually(by_one, within=60)
    finally:
        await relay.close()
