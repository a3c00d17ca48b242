"""JavaMail."""

import pytest

from integrations import letter
from integrations.programs import IMPLICIT, command
from integrations.world import MARKS, SENDER, World

pytestmark = MARKS


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_javamail(world: World, tls: str) -> None:
    changes = IMPLICIT["JavaMail"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "JavaMail", *changes))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "invoice")


async def test_javamail_asks_for_a_report(world: World) -> None:
    timeout = 'relay.put("mail.smtp.timeout", "60000");'
    asked = ("mail.smtp.dsn.notify", "SUCCESS,FAILURE"), ("mail.smtp.dsn.ret", "HDRS")
    lines = "".join(f'\nrelay.put("{name}", "{value}");' for name, value in asked)

    changes = ((timeout, timeout + lines), (SENDER, world.sender))

    await world.succeeds(await command(world, "JavaMail", *changes))

    assert b"Action: relayed" in (await world.report()).content
