"""The webhooks program is killed while events flow to an endpoint that fails now and then."""

import os
from pathlib import Path

from chaos.program import POSTHOUSE, Program
from chaos.relay import common_settings
from chaos.told import SETTINGS, FailingEndpoint
from posthouse.mail.secret import KEY_OCTETS
from servers.ports import lasting_ports
from servers.stores import ACCOUNT, open_stores
from servers.webhook_sink import webhook_sink
from servers.webhooking import Webhooked

KILLS, MESSAGES = 3, 8
NO_BROKER = "amqp://nobody:nothing@127.0.0.1:9/"  # it hears no hints


async def test_webhooks_killed(database: str, tmp_path: Path) -> None:
    """Every event arrives at least once, the same each time, and with its place in its message."""
    key = os.urandom(KEY_OCTETS)
    (health,) = lasting_ports(1)
    env = {
        "POSTHOUSE_DATABASE_URL": database,
        "POSTHOUSE_BROKER_URL": NO_BROKER,
        **SETTINGS,
        **common_settings(key, health),
    }
    program = Program((POSTHOUSE, "webhooks"), env, tmp_path / "webhooks.log", health)
    async with open_stores(database) as stores, webhook_sink() as sink:
        endpoint = FailingEndpoint(sink, database)
        await endpoint.become_known(ACCOUNT, key)
        hooked = Webhooked(stores, sink)
        try:
            await program.start()
            for _ in range(KILLS):
                seen = len(sink.requests)
                for _ in range(MESSAGES):
                    await hooked.send()
                await sink.was_asked(seen + 1)
                await program.kill()
                await program.start()
            told = await endpoint.all_told()
        finally:
            await program.close()
    assert () == told.broken, told
    assert 3 * KILLS * MESSAGES == told.events, "one accepted and two delivered of each message"
    assert told.repeated, "nothing failed"
