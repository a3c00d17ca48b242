"""Over the whole relay: what programs do that vanished or arrived twice before."""

import asyncio
import base64
import re
import socket
import struct
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from posthouse.mail.submission import OWN_CREDENTIAL
from servers.patience import eventually, on_this_machine
from servers.shared_relay import Login, Refused, SharedRelay, Submitted, shared_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = "jo@own.example"
ANN, DEAD = "ann@dest.example", "nobody@dest.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    folder = tmp_path_factory.mktemp("relay")
    folder.chmod(0o711)
    async with shared_relay(folder, POSTHOUSE_DSN_GATHER_SECONDS="1") as running:
        await running.command("account", "create", "own")
        await running.domain("own", "own.example", "--onboarding", "trusted")
        yield running


def text(*fields: str, author: str = OWN) -> bytes:
    lines = (f"From: {author}", "Subject: a test", *fields, "", "Hello.", "")
    return "\r\n".join(lines).encode()


# The null reverse-path.


async def test_mail_from_nobody_arrives_from_nobody_and_signed(relay: SharedRelay) -> None:
    login = await relay.login("own", "native")
    bounce = text("Auto-Submitted: auto-replied", author="MAILER-DAEMON@own.example (Mail System)")
    submitted = await relay.submit(login, "", [ANN], bounce)
    (arrival,) = (await relay.arrived(submitted)).values()
    assert "" == arrival.sender
    assert b"d=own.example" in arrival.content
    assert arrival.content.split(b"Received: ")[1].startswith(b"from app.example by relay.example")


async def test_hosts_of_a_domain_send_where_the_profile_says_so(relay: SharedRelay) -> None:
    await relay.profile("own", "hosts", "native", "sender.hosts_of_domains=true")
    host = "root@web1.own.example"
    login = await relay.login("own", "hosts")
    submitted = await relay.submit(login, host, [ANN], text(author=host))
    (arrival,) = (await relay.arrived(submitted)).values()
    assert b"d=own.example" in arrival.content
    with pytest.raises(Refused, match=r"550 5\.7\.1 Sender domain web1\.own\.example is not one"):
        await relay.submit(await relay.login("own", "native"), host, [ANN], text(author=host))


async def test_nobody_is_told_that_mail_from_nobody_failed(relay: SharedRelay) -> None:
    """The report on a message with a sender comes later, and shows that both were looked at."""
    relay.sink._refusals.append((re.compile("nobody@.*"), b"550 5.1.1 No such user\r\n"))
    login = await relay.login("own", "native")
    from_nobody = await relay.submit(login, "", [DEAD], text())
    assert {} == await relay.arrived(from_nobody)
    assert "bounced" in [event["kind"] for event in await relay.events(from_nobody)]
    from_jo = await relay.submit(
        login, OWN, [f"nobody@{number}.example" for number in "12"], text()
    )

    async def told() -> bool:
        return "notified" in [event["kind"] for event in await relay.events(from_jo)]

    await eventually(told)
    ours = "SELECT count(*) FROM submissions WHERE credential_id = $1"
    assert 1 == await relay.database.fetchval(ours, OWN_CREDENTIAL)


# Resubmission.


async def cut_before_the_reply(relay: SharedRelay, login: Login, content: bytes) -> UUID:
    """Submit *content* to ANN, and reset the connection when it is committed, the reply unread."""
    known = {row["id"] for row in await relay.database.fetch("SELECT id FROM submissions")}
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    plain = base64.b64encode(f"\0{login.username}\0{login.secret}".encode())
    commands = (b"EHLO app.example", b"AUTH PLAIN " + plain, b"MAIL FROM:<" + OWN.encode() + b">")
    async with asyncio.timeout(on_this_machine(10)):
        for command in (b"", *commands, b"RCPT TO:<" + ANN.encode() + b">", b"DATA"):
            writer.write(command + b"\r\n" if command else b"")
            while (await reader.readline())[3:4] == b"-":
                pass
    writer.write(content + b".\r\n")
    found: list[UUID] = []

    async def committed() -> bool:
        rows = await relay.database.fetch("SELECT id FROM submissions")
        found.extend(row["id"] for row in rows if row["id"] not in known)
        return bool(found)

    await eventually(committed, look=0.002)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return found[0]


async def test_a_client_that_lost_our_reply_submits_again_and_it_arrives_once(
    relay: SharedRelay,
) -> None:
    login = await relay.login("own", "native", "--resubmission", "on")
    for number in range(5):
        content = text(f"Message-ID: <{number}@app.example>")
        first = await cut_before_the_reply(relay, login, content)
        again = await relay.submit(login, OWN, [ANN], content)
        assert first == again.id
        assert [ANN] == list(await relay.arrived(again))
        kinds = [event["kind"] for event in await relay.events(again)]
        assert 1 == kinds.count("resubmitted")
        assert 1 == kinds.count("delivered")


async def test_report_only_sends_it_twice_and_says_so(relay: SharedRelay) -> None:
    login = await relay.login("own", "native")
    await relay.command("credential", "set", login.username, "--resubmission", "report-only")
    content = text("Message-ID: <twice@app.example>")
    first, again = [await relay.submit(login, OWN, [ANN], content) for _ in range(2)]
    assert first.id != again.id
    for submitted in (first, again):
        assert [ANN] == list(await relay.arrived(submitted))
    story = await relay.command("message", first.id.hex)
    assert "its client submitted it again in the same octets (known until 20" in story
    assert f": accepted as {again.id.hex}" in story
    told = await relay.command("message", again.id.hex)
    assert f"a repeat of {first.id.hex}, in the same octets" in told


async def test_off_is_the_default_and_two_are_two(relay: SharedRelay) -> None:
    login = await relay.login("own", "native")
    content = text("Message-ID: <two@app.example>")
    both: list[Submitted] = [await relay.submit(login, OWN, [ANN], content) for _ in range(2)]
    assert 2 == len({one.id for one in both})
    listed = await relay.command("credential", "list", "--json")
    assert '"resubmission": "off"' in listed
