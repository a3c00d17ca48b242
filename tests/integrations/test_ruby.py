"""Ruby's mail, and ActionMailer, which uses it."""

import pytest

from integrations.programs import IMPLICIT, command
from integrations.world import MARKS, SENDER, World, check_same

pytestmark = MARKS


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", ["plain", "login"])
async def test_ruby_mail(world: World, mechanism: str, tls: str) -> None:
    changes = IMPLICIT["Ruby mail"] if tls == "implicit" else ()
    login = ("authentication: :plain", f"authentication: :{mechanism}")

    await world.succeeds(await command(world, "Ruby mail", login, *changes))

    arrived = (await world.arrival()).content
    check_same((world.folder / "sent.eml").read_bytes(), arrived)
    assert f"From: Shop <{SENDER}>\r\n".encode() in arrived


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_actionmailer(world: World, tls: str) -> None:
    changes = IMPLICIT["ActionMailer"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "ActionMailer", *changes))

    check_same((world.folder / "sent.eml").read_bytes(), (await world.arrival()).content)
