"""AUTH: mechanisms, wrong secrets, a directory that is away; and TLS, which decides about AUTH."""

import asyncio
import base64
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from ingest.authenticator import Authenticator, Denial
from posthouse.mail.secret import hash_secret
from posthouse.running.certificate import CannotUseCertificate, Certificate
from posthouse.smtp.commands import Credentials
from posthouse.store import StoreRefused, StoreUnavailable
from servers.door import LOGIN, PEPPER, PLAIN, OpenDoor, RememberingDirectory, Running, Wire
from servers.door import write_certificate as write
from servers.patience import until

OK = "235 2.7.0 Authentication successful"
FAILED = "535 5.7.8 Authentication credentials invalid"
USER = base64.b64encode(b"user").decode()
PASSWORD = base64.b64encode(b"the secret").decode()
WRONG = base64.b64encode(b"\0user\0another secret").decode()
UNKNOWN = base64.b64encode(b"\0nobody\0the secret").decode()


@pytest.mark.parametrize(
    "dialog",
    [
        [(f"AUTH PLAIN {PLAIN}", OK)],
        [(f"auth plain {PLAIN}", OK)],
        [("AUTH PLAIN", "334 "), (PLAIN, OK)],
        [("AUTH LOGIN", "334 VXNlcm5hbWU6"), (USER, "334 UGFzc3dvcmQ6"), (PASSWORD, OK)],
        [(f"AUTH Login {USER}", "334 UGFzc3dvcmQ6"), (PASSWORD, OK)],
        [(f"AUTH PLAIN {WRONG}", FAILED), (f"AUTH PLAIN {PLAIN}", OK)],
        [(f"AUTH PLAIN {UNKNOWN}", FAILED)],
        [("AUTH PLAIN =", "501 5.5.2 Cannot decode the response")],
        [("AUTH PLAIN", "334 "), ("*", "501 5.7.0 Authentication cancelled")],
        [("AUTH LOGIN", "334 VXNlcm5hbWU6"), ("*", "501 5.7.0 Authentication cancelled")],
        [(f"AUTH LOGIN {USER}", "334 UGFzc3dvcmQ6"), ("%", "501 5.5.2 Cannot decode the response")],
        [("AUTH PLAIN ////", "501 5.5.2 Cannot decode the response")],
        [("AUTH LOGIN =", "334 UGFzc3dvcmQ6"), ("/w==", "501 5.5.2 Cannot decode the response")],
        [("AUTH", "501 5.5.4 Syntax: AUTH mechanism [initial-response]")],
        [("AUTH PLAIN a b", "501 5.5.4 Syntax: AUTH mechanism [initial-response]")],
        [("AUTH CRAM-MD5", "504 5.5.4 Mechanisms are PLAIN and LOGIN")],
        [(f"AUTH PLAIN {PLAIN}", OK), ("AUTH LOGIN", "503 5.5.1 Already authenticated")],
    ],
)
async def test_auth(door: Running, dialog: list[tuple[str, str]]) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    for line, reply in dialog:
        assert await client.say(line) == reply


async def test_three_wrong_secrets_end_the_connection(door: Running) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    for _ in range(3):
        assert await client.say(f"AUTH PLAIN {WRONG}") == FAILED
    assert await client.reply() == "421 4.7.0 Too many failed logins, try again later"
    assert await client.is_closed()


@pytest.mark.parametrize(
    "lines",
    [
        ["AUTH LOGIN AGE=", PASSWORD],  # NUL, "a"
        ["AUTH LOGIN Cg==", PASSWORD],
        ["AUTH PLAIN " + base64.b64encode(b"\0us\ner\0the secret").decode()],
        ["AUTH PLAIN " + base64.b64encode("\0us\u2028er\0the secret".encode()).decode()],
        ["AUTH PLAIN " + base64.b64encode(b"boss\0user\0the secret").decode()],  # RFC 4616
    ],
)
async def test_user_names_that_cannot_be_are_failed_logins_without_a_query(
    door: Running, lines: list[str]
) -> None:
    """M1: counted and limited as any guess; nothing raw of them reaches the log."""
    client = await door.connect()
    await client.say("EHLO x")
    with capture_logs() as logs:
        for _ in range(3):
            for line in lines:
                reply = await client.say(line)
            assert reply == FAILED
        assert await client.reply() == "421 4.7.0 Too many failed logins, try again later"
    assert door.directory.asked == []
    assert door.service._context.authenticator._guesses._by_network["127.0.0.1"][0] == 3
    assert ["auth_failed"] * 3 == [each["event"] for each in logs]
    assert all(each["username"].isprintable() for each in logs)


async def test_a_client_may_ask_to_act_as_itself(door: Running) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    itself = base64.b64encode(b"user\0user\0the secret").decode()
    assert await client.say(f"AUTH PLAIN {itself}") == OK


async def test_a_login_that_the_store_refuses_is_not_wrong(door: Running) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    door.directory.failure = StoreRefused("never")
    with capture_logs() as logs:
        reply = await client.say(f"AUTH PLAIN {PLAIN}")
    assert reply == "454 4.7.0 Temporary authentication failure"
    assert ["auth_unavailable"] == [each["event"] for each in logs]


async def test_a_directory_that_is_away_never_says_wrong(door: Running) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    door.directory.failure = StoreUnavailable("away")
    for _ in range(5):
        reply = await client.say(f"AUTH PLAIN {WRONG}")
        assert reply == "454 4.7.0 Temporary authentication failure"
    door.directory.failure = None
    assert await client.say(f"AUTH PLAIN {PLAIN}") == OK


async def test_a_directory_that_does_not_answer_is_away(open_door: OpenDoor) -> None:
    door = await open_door(directory_seconds=0.05)
    client = await door.connect()
    await client.say("EHLO x")

    door.directory.open.clear()
    reply = await client.say(f"AUTH PLAIN {PLAIN}")
    assert reply == "454 4.7.0 Temporary authentication failure"


async def test_a_withdrawn_credential_sends_no_more(door: Running, client: Wire) -> None:
    await client.envelope()
    await client.say("RSET")
    del door.directory.logins["user"]
    door.service._context.authenticator._remembered.clear()
    assert await client.say("MAIL FROM:<jo@a.example>") == "530 5.7.0 Authentication required"


# The authenticator by itself, with a clock to set.


class Clock:
    """Stands still until told otherwise."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory() -> RememberingDirectory:
    return RememberingDirectory()


@pytest.fixture
def authenticator(directory: RememberingDirectory, clock: Clock) -> Authenticator:
    return Authenticator(directory, PEPPER, clock, seconds=1.0)


GOOD = Credentials("user", "the secret")
BAD = Credentials("user", "wrong")


async def test_a_login_is_remembered_for_half_a_minute(
    authenticator: Authenticator, directory: RememberingDirectory, clock: Clock
) -> None:
    for _ in range(3):
        assert await authenticator.authenticate(GOOD, "192.0.2.1") == LOGIN
    assert await authenticator.current(LOGIN) == LOGIN
    assert directory.asked == ["user"]
    clock.now = 31
    assert await authenticator.current(LOGIN) == LOGIN
    assert directory.asked == ["user", "user"]


async def test_unknown_and_wrong_take_the_same_path(
    authenticator: Authenticator, directory: RememberingDirectory
) -> None:
    await authenticator.authenticate(GOOD, "192.0.2.1")
    for credentials in (BAD, Credentials("nobody", "x")):
        assert await authenticator.authenticate(credentials, "192.0.2.1") is Denial.WRONG
    assert directory.asked == ["user", "user", "nobody"]


async def test_a_new_secret_counts_at_once_and_the_old_one_does_not_outlive_it(
    authenticator: Authenticator, directory: RememberingDirectory
) -> None:
    await authenticator.authenticate(GOOD, "192.0.2.1")
    new = replace(LOGIN, secret_hash=hash_secret("new", PEPPER))
    directory.logins["user"] = new
    assert await authenticator.authenticate(Credentials("user", "new"), "192.0.2.1") == new
    assert await authenticator.authenticate(GOOD, "192.0.2.1") is Denial.WRONG
    assert await authenticator.current(LOGIN) is None


async def test_guessing_is_limited_by_address_but_locks_nobody_out_who_is_known(
    authenticator: Authenticator, directory: RememberingDirectory, clock: Clock
) -> None:
    await authenticator.authenticate(GOOD, "192.0.2.1")
    for _ in range(100):
        assert await authenticator.authenticate(BAD, "192.0.2.1") is Denial.WRONG
    asked = len(directory.asked)
    assert await authenticator.authenticate(BAD, "192.0.2.1") is Denial.TOO_MANY_GUESSES
    assert len(directory.asked) == asked
    assert await authenticator.authenticate(GOOD, "192.0.2.1") == LOGIN
    assert await authenticator.authenticate(BAD, "192.0.2.2") is Denial.WRONG
    clock.now = 601
    assert await authenticator.authenticate(BAD, "192.0.2.1") is Denial.WRONG


async def test_memory_of_logins_and_guesses_is_bounded(
    authenticator: Authenticator, directory: RememberingDirectory
) -> None:
    for i in range(10_050):
        name = f"user{i}"
        directory.logins[name] = replace(LOGIN, username=name)
        await authenticator.authenticate(Credentials(name, "the secret"), "192.0.2.1")
        await authenticator.authenticate(BAD, f"10.0.{i // 256}.{i % 256}")
    assert len(authenticator._remembered) == 10_000
    assert len(authenticator._guesses._by_network) == 10_000


async def test_too_many_guesses_end_the_connection(door: Running) -> None:
    guesses = door.service._context.authenticator._guesses
    for _ in range(100):
        guesses.count("127.0.0.1", asyncio.get_running_loop().time())
    client = await door.connect()
    await client.say("EHLO x")
    reply = await client.say(f"AUTH PLAIN {PLAIN}")
    assert reply == "421 4.7.0 Too many failed logins, try again later"
    assert await client.is_closed()


def test_credentials_do_not_show_their_secret() -> None:
    assert repr(GOOD) == "Credentials('user', ...)"


# TLS.


@pytest.mark.parametrize(
    ("mode", "in_clear"),
    [("none", "AUTH"), ("opportunistic", "STARTTLS AUTH"), ("starttls_required", "STARTTLS")],
)
async def test_X02_what_is_offered_in_clear(  # noqa: N802
    open_door: OpenDoor, mode: str, in_clear: str
) -> None:
    client = await (await open_door(mode)).connect()
    offered = await client.say("EHLO x")
    assert " ".join(word for word in ("STARTTLS", "AUTH") if word in offered) == in_clear


@pytest.mark.parametrize("mode", ["opportunistic", "starttls_required"])
async def test_a_message_over_starttls(
    open_door: OpenDoor, client_tls: ssl.SSLContext, mode: str
) -> None:
    door = await open_door(mode)
    client = await door.connect()
    await client.say("EHLO x")
    await client.start_tls(client_tls)
    assert await client.say("MAIL FROM:<jo@a.example>") == "503 5.5.1 Send EHLO first"
    assert "STARTTLS" not in await client.say("EHLO client.example")
    assert await client.say("STARTTLS") == "503 5.5.1 TLS is already active"
    await client.log_in()
    body = b"x\r\n" * 100_000
    assert (await client.message(b"From: jo@a.example\r\n\r\n" + body + b".\r\n")).startswith("250")
    assert door.intake.accepted[0].tls.startswith("TLSv1.3 TLS_")
    assert door.intake.accepted[0].body == body
    assert await client.say("QUIT") == "221 2.0.0 Goodbye"


async def test_implicit_tls_offers_auth_at_once(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    door = await open_door("implicit")
    client = await door.connect(tls=client_tls)
    offered = await client.say("EHLO x")
    assert "AUTH PLAIN LOGIN" in offered
    assert "STARTTLS" not in offered
    await client.log_in()
    assert (await client.message(b"From: jo@a.example\r\n\r\nx\r\n.\r\n")).startswith("250 ")


async def test_admission_comes_before_the_tls_handshake(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    """M3: sockets that say nothing are counted, and those beyond the limit cost no handshake."""
    door = await open_door("implicit", connections_per_address=3)
    silent = [await door.connect(greeting=False) for _ in range(3)]
    connections = door.service._context.connections
    await until(lambda: len(connections.open) == 3)
    refused = await door.connect(greeting=False)
    assert await refused.is_closed()
    silent[0].writer.close()
    await until(lambda: len(connections.open) == 2)
    client = await door.connect(tls=client_tls)
    await client.log_in()


async def test_stopping_does_not_wait_for_a_tls_handshake(open_door: OpenDoor) -> None:
    door = await open_door("implicit", "opportunistic")
    await door.connect(0, greeting=False)
    second = await door.connect(1)
    await second.say("EHLO x")
    await second.say("STARTTLS")
    await until(lambda: len(door.service._context.connections.open) == 2)
    door.stopping.set()
    async with asyncio.timeout(10):
        await door.task


async def test_a_tls_handshake_has_a_time_limit(open_door: OpenDoor) -> None:
    door = await open_door("implicit", handshake_seconds=0.1)
    silent = await door.connect(greeting=False)
    assert await silent.is_closed()
    await until(lambda: not door.service._context.connections.open)


@pytest.mark.parametrize(
    "line", ["MAIL FROM:<jo@a.example>", f"AUTH PLAIN {PLAIN}", "RCPT TO:<x@y.example>", "VRFY x"]
)
async def test_nothing_before_starttls_where_it_is_required(open_door: OpenDoor, line: str) -> None:
    door = await open_door("starttls_required")
    client = await door.connect()
    await client.say("EHLO x")
    assert await client.say(line) == "530 5.7.0 Must issue a STARTTLS command first"
    assert await client.say("NOOP") == "250 2.0.0 Ok"
    assert door.directory.asked == []


async def test_login_before_starttls_is_forgotten(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    client = await (await open_door("opportunistic")).connect()
    await client.log_in()
    await client.envelope()
    await client.start_tls(client_tls)
    await client.say("EHLO x")
    assert await client.say("MAIL FROM:<jo@a.example>") == "530 5.7.0 Authentication required"


async def test_what_was_injected_behind_starttls_is_never_read(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    """CVE-2011-0411: the first reply over TLS belongs to the first command over TLS."""
    client = await (await open_door("starttls_required")).connect()
    await client.say("EHLO x")
    await client.send(b"STARTTLS\r\nNOOP\r\nEHLO injected\r\n")
    assert await client.reply() == "220 2.0.0 Ready to start TLS"
    await client.writer.start_tls(client_tls, server_hostname="localhost")
    assert await client.say("HELP") == "214 2.0.0 RFC 5321, RFC 6409"
    assert await client.say("MAIL FROM:<jo@a.example>") == "503 5.5.1 Send EHLO first"


@pytest.mark.parametrize("mode", ["implicit", "starttls_required"])
async def test_a_client_without_tls_where_tls_is_spoken_disturbs_nobody(
    open_door: OpenDoor, client_tls: ssl.SSLContext, mode: str
) -> None:
    door = await open_door(mode)
    wire = await door.connect(greeting=mode != "implicit")
    if mode != "implicit":
        await wire.say("STARTTLS")
    await wire.send(b"EHLO plain text\r\n" * 10)
    await wire.is_closed()
    assert await door.connect(tls=client_tls if mode == "implicit" else None)


async def test_a_renewed_certificate_is_used_without_a_restart(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate = write(authority, tmp_path)
    before = certificate._seen
    watching = asyncio.create_task(certificate.run(asyncio.Event(), poll_seconds=0.01))
    write(authority, tmp_path)
    async with asyncio.timeout(5):
        while certificate._seen == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (tmp_path / "key.pem").write_text("nonsense")
    await asyncio.sleep(0.05)
    assert not watching.done()
    (tmp_path / "key.pem").unlink()
    await asyncio.sleep(0.05)
    assert not watching.done()
    watching.cancel()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotUseCertificate, match=r"chain\.pem: No such file"):
        Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    (tmp_path / "chain.pem").write_text("nonsense")
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(CannotUseCertificate, match=r"chain\.pem with the key"):
        Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
