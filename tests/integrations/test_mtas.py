"""Mail servers with the relay as their smarthost."""

import pytest

from integrations import letter, mta
from integrations.mta import Start
from integrations.needed import CLIENTS, need
from integrations.refusing import refusing
from integrations.world import MARKS, SENDER, World, check_same
from servers.patience import until

pytestmark = MARKS

ALL = [mta.postfix, mta.exim, mta.opensmtpd, mta.nullmailer, mta.dma]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("start", ALL)
async def test_line_feeds(world: World, start: Start, tls: str) -> None:
    async with start(world, implicit=tls == "implicit").running() as server:
        await server.send(letter.RAW, SENDER)

        check_same(letter.RAW, (await world.arrival()).content)


@pytest.mark.parametrize("start", ALL)
async def test_crlf(world: World, start: Start) -> None:
    """Some of them add a CR to each line, whether there is one or not."""
    async with start(world).running() as server:
        await server.send(letter.RAW.replace(b"\n", b"\r\n"), SENDER)

        check_same(letter.RAW, (await world.arrival()).content)


@pytest.mark.parametrize("start", ALL)
async def test_php_mail(world: World, start: Start) -> None:
    """PHP 8 writes CRLF to its sendmail, in which dma does not find the end of the header."""
    need("php-cli")
    program = world.put(CLIENTS / "mail.php")
    server = start(world)
    sendmail = f"-d sendmail_path='{server.sendmail} -t -f {SENDER}'"
    line_feeds = "-d mail.mixed_lf_and_crlf=1" if start == mta.dma else ""
    async with server.running():
        await server.inside(f"php {sendmail} {line_feeds} {program}")

        letter.check((await world.arrival()).content, SENDER, world.recipient)


@pytest.mark.parametrize(
    ("start", "logged"),
    [
        (mta.postfix, "status=deferred"),
        (mta.exim, " defer ("),
        (mta.opensmtpd, 'result="TempFail"'),
        (mta.nullmailer, "Temporary error"),
    ],
)
async def test_a_message_that_is_answered_4yz_waits(
    world: World, start: Start, logged: str
) -> None:
    async with refusing(world, "451") as closed, start(closed).running() as server:
        await server.send(letter.RAW, SENDER)

        await until(lambda: "451 4.3.0" in server.log() and logged in server.log())


@pytest.mark.parametrize("start", ALL)
async def test_a_bounce_comes_to_the_sender(world: World, start: Start) -> None:
    """The relay refuses an author of somebody else; the server tells its sender so."""
    async with start(world).running() as server:
        await server.send(letter.RAW.replace(SENDER.encode(), b"shop@else.example"), world.sender)

        bounce = await world.report()
        assert b"550 5.7.1" in bounce.content
