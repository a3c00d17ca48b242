"""PostgreSQL that stands still: no connection is refused, no statement answered."""

import asyncio
from pathlib import Path

from chaos.flow import flowing
from chaos.relay import Onebox, Split
from faults.database import (
    FAULT,
    NO_LOGIN,
    ServerProcesses,
    data_of,
    flows,
    stranger,
    timed_knock,
    turned_away_in_time,
)
from servers.patience import on_this_machine

MESSAGES, CONNECTIONS = 300, 20


async def timed_return(relay: Onebox | Split, return_path: str) -> tuple[float, str]:
    """Seconds until the port for returned mail answers to that recipient, and with which codes."""
    program = relay.program if isinstance(relay, Onebox) else relay.programs["bounces"]
    host, _, port = program._env["POSTHOUSE_BOUNCES_LISTEN"].rpartition(":")
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(on_this_machine(15)):
        reader, writer = await asyncio.open_connection(host, int(port))
        began = loop.time()
        writer.write(f"HELO mx.example\r\nMAIL FROM:<>\r\nRCPT TO:<{return_path}>\r\n".encode())
        replies = [await reader.readline() for _ in range(4)]
        writer.close()
    return loop.time() - began, replies[-1].decode()[:9]


async def test_clients_hear_so_in_time_and_mail_flows_when_it_goes_on(
    relay: Onebox | Split, tmp_path: Path
) -> None:
    """451 and 454 within a second, nothing is lost, and doubled is only what was in flight.

    A message whose commit was under way may be kept after all, though its client was told to send
    it again; never more than the clients that were waiting.
    """
    server = ServerProcesses(data_of(relay, tmp_path))
    normal = relay.customer.normal
    async with flowing(relay, MESSAGES, connections=CONNECTIONS) as flow:
        await flow.reached(0.3)
        (arrival, *_) = await flow.sink.arrived(1)
        server.freeze()
        try:
            first = [await timed_knock(door) for door in (normal, stranger(normal))]
            returned = await timed_return(relay, arrival.sender)
            later = [await timed_knock(door) for door in (normal, stranger(normal)) * 5]
        finally:
            server.thaw()
        await flows(relay, flow.sink, number=MESSAGES)
        count = await flow.all_through(within=60)

    assert {FAULT, NO_LOGIN} == {said for _, said in (*first, *later)}
    assert "451 4.3.0" == returned[1]
    assert turned_away_in_time((*first, returned))
    assert turned_away_in_time(later)
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert count.resubmitted <= CONNECTIONS + 1, count
    assert (0, 0) == (count.doubled, count.delivered_twice), count
