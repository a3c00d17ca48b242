"""Mail that hangs on the wire, in a relay that died of it twice, keeps no alert waiting."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from chaos.knock import knock
from chaos.relay import Onebox
from faults.database import Brokerless, command
from servers.hanging import greets_late, reads_slowly
from servers.mx import Mx, mx, polite
from servers.patience import eventually, until

LINES = 340_000  # of 72 octets: nearly the largest message that is taken
LARGE = 4  # 98 MB: twice what large messages of these lanes may hold on the wire
PARKED = "SELECT count(*) FROM due_deliveries WHERE parked_at LIKE '%(large)'"
SUSPECTS = "SELECT count(*) FROM due_deliveries WHERE leased AND abandoned >= 2"


@pytest.mark.parametrize("form", [Onebox, Brokerless])
async def test_an_alert_passes_suspects_large_messages_and_a_site_that_hardly_reads(
    tmp_path: Path, form: type[Onebox | Brokerless]
) -> None:
    """Three deliveries were on the wire both times; large ones hang when it has started again."""
    async with AsyncExitStack() as stack:
        late, slow, good = [
            await stack.enter_async_context(mx(manners))
            for manners in (greets_late, reads_slowly, polite)
        ]
        servers = {"late.example": late, "slow.example": slow, "good.example": good}
        routes = ",".join(f"{name}=127.0.0.1:{server.port}" for name, server in servers.items())
        relay = form(tmp_path, {"POSTHOUSE_ROUTES": routes})
        stack.push_async_callback(relay.close)
        await relay.start()
        struck = relay.program if isinstance(relay, Onebox) else relay.programs["dispatcher 1"]
        at_the_door = relay.program if isinstance(relay, Onebox) else relay.programs["ingest"]
        door = relay.customer.normal

        for _ in range(3):
            assert (await knock(door, recipient="r@late.example")).startswith("250 ")
        for connections in (3, 6):
            await until(partial(has_seen, late, connections), within=60)
            await struck.kill()
            struck.launch()

        async def suspected() -> bool:
            (row,) = await command(relay.database_url, SUSPECTS)
            return bool(row["count"])

        await eventually(at_the_door.is_ready, within=60)
        await eventually(suspected, within=60)
        for _ in range(LARGE):
            said = await knock(door, recipient="r@slow.example", lines=LINES, within=60)
            assert said.startswith("250 ")

        async def all_large_hang() -> bool:
            (row,) = await command(relay.database_url, PARKED)
            return bool(row["count"] + slow.begun == LARGE and slow.begun)

        await eventually(all_large_hang, within=120)
        for lane in ("1", "5"):
            await knock(door, recipient="r@good.example", fields=f"X-Priority: {lane}\r\n")
        await until(lambda: len(good.messages) == 2)

    assert [] == slow.messages + late.messages


def has_seen(server: Mx, connections: int) -> bool:
    return server.connections >= connections
