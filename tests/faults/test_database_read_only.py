"""A database that takes nothing: a standby, or one that its operator has closed."""

import pytest

from chaos.flow import flowing
from chaos.relay import Onebox, Split
from faults.database import FAULT, command, configure, flows, timed_knock

MESSAGES = 300
READ_ONLY = "default_transaction_read_only"


async def test_clients_hear_451_and_all_goes_on_when_it_is_writable(relay: Onebox | Split) -> None:
    """Nothing is lost or doubled: what is refused was certainly not done."""
    async with flowing(relay, MESSAGES) as flow:
        await flow.reached(0.3)
        await configure(relay.database_url, READ_ONLY, "on")
        try:
            heard = {(await timed_knock(relay.customer.normal))[1] for _ in range(5)}
        finally:
            await configure(relay.database_url, READ_ONLY, None)
        await flows(relay, flow.sink, number=MESSAGES)
        count = await flow.all_through(within=60)

    assert {FAULT} == heard
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.resubmitted), count


@pytest.mark.parametrize("relay", ["split"], indirect=True)
async def test_connections_made_while_it_was_read_only_do_not_stay_so(
    relay: Onebox | Split,
) -> None:
    """A default of the database counts for a connection from its beginning to its end."""
    url = relay.database_url
    (row,) = await command(url, "SELECT current_database() AS name")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    cut += " AND datname IS NOT NULL"
    async with flowing(relay, MESSAGES) as flow:
        await flow.reached(0.3)
        await command(url, f"ALTER DATABASE {row['name']} SET {READ_ONLY} = on", cut)
        try:
            heard = {(await timed_knock(relay.customer.normal))[1] for _ in range(10)}
        finally:
            await command(
                url, f"SET {READ_ONLY} = off", f"ALTER DATABASE {row['name']} RESET {READ_ONLY}"
            )
        await flows(relay, flow.sink, number=MESSAGES)
        count = await flow.all_through(within=60)

    assert FAULT in heard
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0) == (count.doubled, count.delivered_twice), count
