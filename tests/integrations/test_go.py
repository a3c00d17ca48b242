"""Go's net/smtp."""

from integrations import letter
from integrations.programs import command
from integrations.world import MARKS, World, check_same

pytestmark = MARKS


async def test_net_smtp(world: World) -> None:
    await world.succeeds(await command(world, "Go net/smtp"))

    check_same(letter.RAW, (await world.arrival()).content)


async def test_net_smtp_in_clear_on_the_same_machine(world: World) -> None:
    """PLAIN in clear is what it does towards `localhost` only."""
    tls = 'check(relay.StartTLS(&tls.Config{ServerName: "relay.example.com", RootCAs: trusted}))'
    changes = (("587", "2525"), (tls, "_ = tls.Config{RootCAs: trusted}"))

    await world.succeeds(await command(world, "Go net/smtp", *changes))

    check_same(letter.RAW, (await world.arrival()).content)
