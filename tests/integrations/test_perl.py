"""Libraries of Perl."""

import pytest

from integrations import letter
from integrations.programs import IMPLICIT, command
from integrations.world import MARKS, World, body, check_same

pytestmark = MARKS


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_email_sender(world: World, tls: str) -> None:
    changes = IMPLICIT["Email::Sender"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "Email::Sender", *changes))

    check_same(letter.RAW, (await world.arrival()).content)


async def test_mime_lite_in_clear_on_the_same_machine(world: World) -> None:
    """It ends a text that ends with a line feed by CRCRLF."""
    await world.succeeds(await command(world, "MIME::Lite"))

    assert letter.TEXT.encode() == body((await world.arrival()).content)
