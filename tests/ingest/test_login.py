"""AUTH: mechanisms, wrong secrets, a directory that is away; and TLS, which decides about AUTH."""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from posthouse.mail.permission import Permission
from posthouse.mail.scram import SALT_OCTETS, ScramKeys
from posthouse.mail.secret import NONCE_OCTETS, seal
from posthouse.smtp.commands import Credentials
from posthouse.store import StoreRefused, StoreUnavailable
from servers.door import (
    LOGIN,
    PLAIN,
    SEALING,
    SECRET,
    OpenDoor,
    Running,
    Wire,
    login_with,
)
from servers.patience import on_this_machine, until

OK = "235 2.7.0 Authentication successful"
FAILED = "535 5.7.8 Authentication credentials invalid"
TOO_MANY = "421 4.7.0 Too many failed logins: try again with the right user name and secret"
ENDED = "421 4.7.0 This login was changed or withdrawn: connect and log in again"
UNAVAILABLE = "454 4.7.0 Temporary authentication failure, try again in a minute"
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
        [("AUTH CRAM-MD5", "504 5.5.4 Mechanisms are PLAIN, LOGIN, SCRAM-SHA-256")],
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
    assert await client.reply() == TOO_MANY
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
        assert await client.reply() == TOO_MANY
    assert door.directory.asked == []
    limits = door.service._context.authenticator._limits
    assert [3] == [wrong for wrong, _ in limits._of_address._entries.values()]
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
    assert reply == UNAVAILABLE
    assert ["auth_unavailable"] == [each["event"] for each in logs]


async def test_a_directory_that_is_away_never_says_wrong(door: Running) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    door.directory.failure = StoreUnavailable("away")
    for _ in range(5):
        reply = await client.say(f"AUTH PLAIN {WRONG}")
        assert reply == UNAVAILABLE
    door.directory.failure = None
    assert await client.say(f"AUTH PLAIN {PLAIN}") == OK


async def test_a_directory_that_does_not_answer_is_away(open_door: OpenDoor) -> None:
    door = await open_door(directory_seconds=0.05)
    client = await door.connect()
    await client.say("EHLO x")

    door.directory.open.clear()
    reply = await client.say(f"AUTH PLAIN {PLAIN}")
    assert reply == UNAVAILABLE


async def test_a_withdrawn_credential_sends_no_more(door: Running, client: Wire) -> None:
    await client.envelope()
    await client.say("RSET")
    del door.directory.logins["user"]
    door.service._context.authenticator._remembered.clear()
    assert await client.say("MAIL FROM:<jo@a.example>") == ENDED
    assert await client.is_closed()


async def test_T03_a_key_without_send_via_smtp_fails_as_a_wrong_one(door: Running) -> None:
    """And one that loses it sends no more."""
    client = await door.logged_in()
    door.directory.logins["user"] = replace(LOGIN, permissions=frozenset({Permission.HTTP}))
    door.service._context.authenticator._remembered.clear()
    assert await client.say("MAIL FROM:<jo@a.example>") == ENDED
    again = await door.connect()
    await again.say("EHLO x")
    with capture_logs() as logs:
        assert await again.say(f"AUTH PLAIN {PLAIN}") == FAILED
    assert "the secret is right" in logs[0]["advice"]


async def test_too_many_guesses_end_the_connection(door: Running) -> None:
    limits = door.service._context.authenticator._limits
    for _ in range(10):
        limits.was_wrong("127.0.0.1", "user")
    client = await door.connect()
    await client.say("EHLO x")
    reply = await client.say(f"AUTH PLAIN {PLAIN}")
    assert re.fullmatch(
        r"421 4\.7\.0 Too many failed logins, try again in (5\d\d|600) seconds", reply
    )
    assert await client.is_closed()


def test_credentials_do_not_show_their_secret() -> None:
    assert repr(Credentials("user", "the secret")) == "Credentials('user', ...)"


# TLS.


@pytest.mark.parametrize(
    ("mode", "in_clear"),
    [("none", "AUTH"), ("opportunistic", "STARTTLS AUTH"), ("starttls_required", "STARTTLS")],
)
async def test_X02_what_is_offered_in_clear(open_door: OpenDoor, mode: str, in_clear: str) -> None:
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
    async with asyncio.timeout(on_this_machine(10)):
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


# Mechanisms with a challenge.

ALL = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5")
WITH_KEYS = replace(
    LOGIN,
    scram=bytes(ScramKeys.of(SECRET, b"s" * SALT_OCTETS)),
    sealed=seal(SECRET.encode(), SEALING, b"n" * NONCE_OCTETS),
)


def answer(wire_reply: str) -> bytes:
    """What a challenge says."""
    assert wire_reply.startswith("334 "), wire_reply
    return base64.b64decode(wire_reply[4:])


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def cram(client: Wire, username: str, secret: str) -> str:
    challenge = answer(await client.say("AUTH CRAM-MD5"))
    digest = hmac.digest(secret.encode(), challenge, "md5").hex()
    return await client.say(encoded(f"{username} {digest}"))


async def scram(client: Wire, username: str, secret: str) -> str:
    """The reply to the proof, or to what follows it."""
    bare = f"n={username},r=client"
    first = answer(await client.say(f"AUTH SCRAM-SHA-256 {encoded('n,,' + bare)}")).decode()
    fields = dict(part.split("=", 1) for part in first.split(","))
    keys = ScramKeys.of(secret, base64.b64decode(fields["s"]), int(fields["i"]))
    final = f"c=biws,r={fields['r']}"
    message = f"{bare},{first},{final}".encode()
    # What a client computes (RFC 5802 section 3): it knows the secret itself.
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), keys.salt, keys.iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    reply = await client.say(encoded(f"{final},p={base64.b64encode(proof).decode()}"))
    if not reply.startswith("334 "):
        return reply
    assert answer(reply) == b"v=" + base64.b64encode(keys.server_signature(message))
    return await client.say("")


@pytest.mark.parametrize("log_in", [cram, scram])
async def test_C06_X03_each_mechanism_logs_in(
    open_door: OpenDoor, log_in: Callable[[Wire, str, str], Awaitable[str]]
) -> None:
    door = await open_door("none", mechanisms=ALL)
    door.directory.logins["user"] = WITH_KEYS
    client = await door.connect()
    assert "250 AUTH PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5" in await client.say("EHLO client.example")
    for username, secret in (("user", "wrong"), ("nobody", SECRET)):
        assert await log_in(client, username, secret) == FAILED
    assert (await log_in(client, "user", SECRET)).startswith("235 ")
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("250 ")


async def test_X03_a_secret_that_is_only_hashed_does_not_work_for_cram(open_door: OpenDoor) -> None:
    """The client is not told; the log says what to do."""
    door = await open_door("none", mechanisms=ALL)
    client = await door.connect()
    await client.say("EHLO client.example")
    with capture_logs() as logs:
        assert await cram(client, "user", SECRET) == FAILED
        assert await scram(client, "user", SECRET) == FAILED
    assert [("posthouse credential reset user --sealed" in log["advice"]) for log in logs] == [
        True,
        False,
    ]
    assert "posthouse credential reset user" in logs[1]["advice"]


async def test_X03_a_response_to_one_challenge_is_none_to_the_next(open_door: OpenDoor) -> None:
    door = await open_door("none", mechanisms=ALL)
    door.directory.logins["user"] = WITH_KEYS
    first = await door.connect()
    await first.say("EHLO x")
    challenge = answer(await first.say("AUTH CRAM-MD5"))
    digest = hmac.new(SECRET.encode(), challenge, "md5").hexdigest()
    assert await first.say(encoded(f"user {digest}")) == OK
    second = await door.connect()
    await second.say("EHLO x")
    assert answer(await second.say("AUTH CRAM-MD5")) != challenge
    assert await second.say(encoded(f"user {digest}")) == FAILED


@pytest.mark.parametrize(
    "mechanism", ["CRAM-MD5", f"SCRAM-SHA-256 {base64.b64encode(b'n,,n=user,r=c').decode()}"]
)
async def test_X03_a_client_may_break_off_any_mechanism(
    open_door: OpenDoor, mechanism: str
) -> None:
    door = await open_door("none", mechanisms=ALL)
    client = await door.connect()
    await client.say("EHLO x")
    assert (await client.say(f"AUTH {mechanism}")).startswith("334 ")
    assert await client.say("*") == "501 5.7.0 Authentication cancelled"
    assert await client.say(f"AUTH PLAIN {PLAIN}") == OK
    assert door.service._context.authenticator._limits._of_user._entries == {}


@pytest.mark.parametrize(
    ("first", "code"), [("y,,n=user,r=c", "334"), ("p=tls-exporter,,n=user,r=c", "501")]
)
async def test_X03_channel_binding_is_not_pretended(
    open_door: OpenDoor, first: str, code: str
) -> None:
    """A client that could bind sees that we do not offer it; one that does bind is told."""
    door = await open_door("none", mechanisms=ALL)
    client = await door.connect()
    assert "-PLUS" not in await client.say("EHLO x")
    assert (await client.say(f"AUTH SCRAM-SHA-256 {encoded(first)}"))[:3] == code
    await client.say("*")
    assert (await client.say(f"AUTH SCRAM-SHA-256-PLUS {encoded(first)}"))[:3] == "504"


@pytest.mark.parametrize("secret", ["", "\0"])
@pytest.mark.parametrize("sealed", [None, b"of another key"])
async def test_X03_no_secret_stands_in_for_one_that_is_not_sealed(
    open_door: OpenDoor, secret: str, sealed: bytes | None
) -> None:
    """HMAC is the same under an empty secret and under zeros: anybody can make that digest."""
    door = await open_door("none", mechanisms=ALL)
    door.directory.logins["user"] = replace(LOGIN, sealed=sealed)
    client = await door.connect()
    await client.say("EHLO client.example")
    assert (await cram(client, "user", secret)) == FAILED
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("530 ")


async def test_a_user_that_is_not_there_has_a_salt_like_one_that_is(open_door: OpenDoor) -> None:
    door = await open_door("none", mechanisms=ALL)
    client = await door.connect()
    await client.say("EHLO client.example")
    salts = []
    for name in ("nobody", "nobody", "other"):
        first = answer(await client.say(f"AUTH SCRAM-SHA-256 {encoded(f'n,,n={name},r=c')}"))
        salts.append(first.split(b",")[1])
        await client.say("*")
    assert salts[0] == salts[1] != salts[2]


async def test_X02_where_a_profile_requires_tls_a_login_in_clear_takes_as_long_as_a_wrong_one(
    open_door: OpenDoor,
) -> None:
    door = await open_door("none", login_failure_seconds=0.2)
    door.directory.logins["user"] = login_with(session__require_tls=True)
    client = await door.connect()
    await client.say("EHLO client.example")
    clock = asyncio.get_running_loop().time
    wrong = base64.b64encode(b"\0user\0another secret").decode()
    for response, code in ((PLAIN, "538 5.7.11 "), (wrong, "535 5.7.8 ")):
        began = clock()
        assert (await client.say(f"AUTH PLAIN {response}")).startswith(code)
        assert clock() - began > 0.19
