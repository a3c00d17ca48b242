"""Libraries of Node.js."""

import pytest

from integrations import letter
from integrations.programs import IMPLICIT, command
from integrations.world import MARKS, SENDER, World

pytestmark = MARKS


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_nodemailer_with_a_pool(world: World, tls: str) -> None:
    changes = IMPLICIT["nodemailer"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "nodemailer", *changes))

    for arrival in await world.arrivals(20):
        letter.check(arrival.content, SENDER, world.recipient, "html", "invoice")


async def test_nodemailer_in_clear_on_the_same_machine(world: World) -> None:
    """It encrypts where it is offered to, and would then want a certificate."""
    tls = '  tls: { ca: fs.readFileSync("/etc/ssl/relay.crt") },\n'
    changes = (("587", "2525"), ("  requireTLS: true,\n", ""), (tls, ""))

    await world.succeeds(await command(world, "nodemailer", *changes))

    await world.arrivals(20)


async def test_emailjs(world: World) -> None:
    """It sends the line feeds that it is given, and doubles no dot behind them."""
    (world.folder / "text.txt").write_text(letter.WITHOUT_DOTS)

    await world.succeeds(await command(world, "emailjs"))

    arrived = (await world.arrival()).content
    letter.check(arrived, SENDER, world.recipient, text=letter.WITHOUT_DOTS)


async def test_nodemailer_asks_for_a_report(world: World) -> None:
    asked = 'dsn: { id: "order-12", return: "headers", notify: ["success", "failure"] },'
    changes = (("length: 20", "length: 1"), ("    attachments:", f"    {asked}\n    attachments:"))

    await world.succeeds(await command(world, "nodemailer", *changes, (SENDER, world.sender)))

    report = (await world.report()).content
    assert b"Original-Envelope-Id: order-12" in report
    assert b"Action: relayed" in report
