"""Python's libraries."""

import pytest

from integrations import letter
from integrations.programs import IMPLICIT, command
from integrations.world import MARKS, SENDER, World, check_same

pytestmark = MARKS


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_smtplib(world: World, tls: str) -> None:
    changes = IMPLICIT["smtplib"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "smtplib", *changes))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")


async def test_smtplib_by_the_address_of_the_same_machine(world: World) -> None:
    """It is in the certificate that the relay makes."""
    address = ('SMTP("relay.example.com"', 'SMTP("127.0.0.1"')

    await world.succeeds(await command(world, "smtplib", address))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")


async def test_smtplib_in_clear_on_the_same_machine(world: World) -> None:
    changes = (("587", "2525"), ("relay.starttls(context=tls)\n", ""))

    await world.succeeds(await command(world, "smtplib", *changes))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")


async def test_smtplib_given_octets_sends_line_feeds(world: World) -> None:
    """So do `sendmail(.., message.as_bytes())` in many programs."""
    old = "relay.send_message(message)"
    new = 'relay.sendmail("shop@example.com", ["you@there.example"], message.as_bytes())'

    await world.succeeds(await command(world, "smtplib", (old, new)))

    letter.check((await world.arrival()).content, SENDER, world.recipient, "html", "invoice")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_django(world: World, tls: str) -> None:
    changes = IMPLICIT["Django"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "Django", *changes))

    first, *others = await world.arrivals(4)
    letter.check(first.content, SENDER, world.recipient, "html", "invoice")
    for other in others:
        letter.check(other.content, SENDER, world.recipient)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_aiosmtplib(world: World, tls: str) -> None:
    changes = IMPLICIT["aiosmtplib"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "aiosmtplib", *changes))

    letter.check((await world.arrival()).content, SENDER, world.recipient)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_twisted(world: World, end: bytes) -> None:
    """It adds a CR to each line, whether there is one or not."""
    (world.folder / "letter.eml").write_bytes(letter.RAW.replace(b"\n", end))

    await world.succeeds(await command(world, "Twisted"))

    check_same(letter.RAW, (await world.arrival()).content)
