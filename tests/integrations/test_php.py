"""PHP's libraries, and its own mail()."""

import pytest

from integrations import letter
from integrations.needed import CLIENTS, need
from integrations.programs import IMPLICIT, command
from integrations.world import MARKS, SENDER, World

pytestmark = MARKS


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_phpmailer(world: World, tls: str) -> None:
    """It keeps its connection for several messages."""
    changes = IMPLICIT["PHPMailer"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "PHPMailer", *changes))

    for arrival in await world.arrivals(3):
        letter.check(arrival.content, SENDER, world.recipient, "html", "invoice")


async def test_phpmailer_in_clear_on_the_same_machine(world: World) -> None:
    """It encrypts where it is offered to, and would then want a certificate."""
    trust = "$mail->SMTPOptions = ['ssl' => ['cafile' => '/etc/ssl/relay.crt']];\n"
    changes = (("587", "2525"), ("'tls'", "''"), (trust, ""))

    await world.succeeds(await command(world, "PHPMailer", *changes))

    await world.arrivals(3)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_symfony_mailer(world: World, tls: str) -> None:
    changes = IMPLICIT["Symfony Mailer"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "Symfony Mailer", *changes))

    arrival = await world.arrival()
    letter.check(arrival.content, SENDER, world.recipient, "html", "invoice")


async def test_symfony_mailer_in_clear_on_the_same_machine(world: World) -> None:
    """It encrypts where it is offered to, and would then want a certificate."""
    await world.succeeds(await command(world, "Symfony Mailer", ("587", "2525")))

    await world.arrival()


async def test_php_mail_through_msmtp(world: World) -> None:
    need("php-cli", "msmtp")
    settings = world.put(CLIENTS / "msmtprc")
    settings.chmod(0o600)
    program = world.put(CLIENTS / "mail.php")
    sendmail = f"sendmail_path=msmtp -C {settings} -t"

    await world.succeeds(["php", "-d", sendmail, program])

    letter.check((await world.arrival()).content, SENDER, world.recipient)
