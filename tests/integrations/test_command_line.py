"""Programs that people and scripts call."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from integrations import letter
from integrations.needed import CLIENTS, need
from integrations.programs import IMPLICIT, command
from integrations.world import DOMAIN, MARKS, MODES, SENDER, World, body, check_same
from servers.shared_relay import Login, shared_relay

pytestmark = MARKS

_CRLF = letter.RAW.replace(b"\n", b"\r\n")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sealed_world(
    shared_world: World, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A relay that offers CRAM-MD5, with a user whose secret is sealed."""
    folder = tmp_path_factory.mktemp("sealed")
    folder.chmod(0o711)
    offered = "PLAIN,LOGIN,CRAM-MD5,SCRAM-SHA-256"
    async with shared_relay(folder, MODES, POSTHOUSE_INGEST_AUTH_MECHANISMS=offered) as relay:
        records = await relay.domain("shop", DOMAIN)
        keys = {record["name"]: record["value"] for record in records}
        login = await relay.login("shop", "native", "--sealed")
        yield replace(
            shared_world,
            relay=relay,
            ports=relay.ports,
            login=login,
            certificate=folder / "data" / "tls.crt",
            keys=keys,
        )


@pytest.fixture
def offering_all(world: World, sealed_world: World) -> World:
    """That relay, with folder and recipient of one's own."""
    return replace(sealed_world, folder=world.folder, recipient=world.recipient)


def give_swaks(world: World) -> None:
    """The letter, without its last newline: swaks adds one."""
    (world.folder / "letter.eml").write_bytes(letter.RAW.removesuffix(b"\n"))


@pytest.mark.parametrize("form", ["starttls", "implicit", "clear"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_swaks(offering_all: World, mechanism: str, form: str) -> None:
    changes = {
        "starttls": (),
        "implicit": IMPLICIT["swaks"],
        "clear": (("587 --tls ", "2525 "),),
    }[form]
    give_swaks(offering_all)
    login = ("--auth PLAIN", f"--auth {mechanism}")

    await offering_all.succeeds(await command(offering_all, "swaks", login, *changes))

    check_same(letter.RAW, (await offering_all.arrival()).content)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_swaks_pipelining(world: World, tls: str) -> None:
    changes = IMPLICIT["swaks"] if tls == "implicit" else ()
    give_swaks(world)

    await world.succeeds(await command(world, "swaks", *changes, ("--from", "--pipeline --from")))

    check_same(letter.RAW, (await world.arrival()).content)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-256"])
async def test_msmtp(offering_all: World, mechanism: str, tls: str) -> None:
    changes = IMPLICIT["msmtp"] if tls == "implicit" else ()
    login = ("auth plain", f"auth {mechanism}")

    await offering_all.succeeds(await command(offering_all, "msmtp", login, *changes))

    check_same(letter.RAW, (await offering_all.arrival()).content)


async def test_msmtp_sends_a_progress_bar_of_a_cron_job(world: World) -> None:
    bar = b" 10%\r 50%\r100%\n"
    (world.folder / "letter.eml").write_bytes(letter.RAW + bar)

    await world.succeeds(await command(world, "msmtp"))

    check_same(letter.RAW + bar.replace(b"\r", b"\n"), (await world.arrival()).content)


async def test_msmtp_with_user_name_and_secret_of_another_relay(world: World) -> None:
    """One that fits into a printer."""
    login = Login(f"printer-{world.recipient}", "twenty letters, more")
    (world.folder / "secret").write_text(login.secret)
    brought = ("--username", login.username, "--secret-file", str(world.folder / "secret"))
    await world.relay.command("credential", "create", "--account", "shop", *brought)

    theirs = replace(world, login=login)
    await world.succeeds(await command(theirs, "msmtp", ("auth plain", "auth login")))

    check_same(letter.RAW, (await world.arrival()).content)


async def test_msmtp_asks_for_a_report(world: World) -> None:
    asked = "auth plain\ndsn_notify success,failure\ndsn_return headers"

    changes = (("auth plain", asked), (SENDER, world.sender))

    await world.succeeds(await command(world, "msmtp", *changes))

    assert b"Action: relayed" in (await world.report()).content


async def test_msmtp_takes_recipients_from_the_header_and_drops_bcc(world: World) -> None:
    need("msmtp")
    settings = world.put(CLIENTS / "msmtprc")
    settings.chmod(0o600)
    blind = f"Bcc: {world.recipient}\n".encode()

    await world.succeeds(["msmtp", "-C", settings, "-t"], blind + letter.RAW)

    arrived = (await world.arrival()).content
    check_same(letter.RAW, arrived)
    assert b"Bcc" not in arrived


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_curl(world: World, tls: str) -> None:
    changes = IMPLICIT["curl"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "curl", *changes))

    check_same(letter.RAW, (await world.arrival()).content)


async def test_curl_sends_the_line_feeds_of_a_file(world: World) -> None:
    """It doubles no dot behind them, and adds CRLF where the last is none."""
    given = letter.RAW.replace(letter.TEXT.encode(), letter.WITHOUT_DOTS.encode())
    (world.folder / "letter.eml").write_bytes(given.removesuffix(b"\n"))

    await world.succeeds(await command(world, "curl", ("--crlf ", "")))

    check_same(given, (await world.arrival()).content)


async def test_curl_is_given_a_file_with_crlf(world: World) -> None:
    (world.folder / "letter.eml").write_bytes(_CRLF)

    await world.succeeds(await command(world, "curl", ("--crlf ", "")))

    check_same(letter.RAW, (await world.arrival()).content)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_s_nail(world: World, tls: str) -> None:
    changes = IMPLICIT["s-nail"] if tls == "implicit" else ()

    await world.succeeds(await command(world, "s-nail", *changes))

    letter.check((await world.arrival()).content, SENDER, world.recipient)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_git_send_email(world: World, tls: str) -> None:
    need("git", "git-email", "libauthen-sasl-perl", "libio-socket-ssl-perl")
    changes = IMPLICIT["git"] if tls == "implicit" else ()
    settings = world.put(CLIENTS / "gitconfig", *changes)
    settings.rename(world.folder / ".gitconfig")
    patch = world.folder / "0001.patch"
    await world.succeeds(["git", "init", "-q", "."])
    patch.write_bytes(letter.RAW.replace(b"To: you@there.example\n", b""))

    await world.succeeds(
        ["git", "send-email", "--quiet", "--confirm=never", f"--to={world.recipient}", patch]
    )

    assert body(letter.RAW) == body((await world.arrival()).content)
