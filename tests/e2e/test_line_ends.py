"""Over the whole relay: what looks like the end of a message to others makes no second one."""

import asyncio
import re
import smtplib
import ssl
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from posthouse.mail.message import has_bare_line_end, split
from servers.patience import on_this_machine
from servers.shared_relay import Login, SharedRelay, Submitted, shared_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = b"From: jo@sender.example\r\nTo: ann@dest.example\r\nSubject: Hello\r\n\r\n"
ENDS = (
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n", b"\r.\n",
    b"\n.\r", b"\r\r\n.\r\r\n", b"\0\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\0\n.\r\0\n",
    b"\r\n\0.\0\r\n", b"\n\n.\r\n", b"\r\r.\r\r",
)  # fmt: skip
# What would be read as commands by a server that takes such an end.
SECOND = (
    b"MAIL FROM:<jo@sender.example>\r\nRCPT TO:<eve@dest.example>\r\nDATA\r\n"
    b"From: jo@sender.example\r\nSubject: smuggled\r\n\r\nText\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    folder = tmp_path_factory.mktemp("relay")
    folder.chmod(0o711)
    async with shared_relay(folder) as running:
        await running.command("account", "create", "own")
        await running.domain("own", "sender.example")
        yield running


def say(port: int, login: Login, contents: list[bytes]) -> list[str]:
    """Send each of *contents* as it is, in one session; the replies to their ends."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    replies = []
    with smtplib.SMTP("127.0.0.1", port, timeout=on_this_machine(30)) as client:
        client.starttls(context=context)
        client.login(login.username, login.secret)
        for content in contents:
            client.mail("jo@sender.example")
            client.rcpt("ann@dest.example")
            assert 354 == client.docmd("DATA")[0]
            client.send(content)
            code, text = client.getreply()
            replies.append(f"{code} {text.decode()}")
        assert 250 == client.noop()[0]
    return replies


async def test_each_look_alike_of_an_end_arrives_within_one_message(relay: SharedRelay) -> None:
    login = await relay.login("own", "native")
    contents = [HEADER + b"one" + end + SECOND + b".\r\n" for end in ENDS]
    replies = await asyncio.to_thread(say, relay.port, login, contents)
    for reply in replies:
        number = re.search(r"^250 .*([0-9a-f]{32})", reply)
        assert number is not None, reply
        sent = Submitted(UUID(number[1]), reply)
        ((recipient, arrival),) = (await relay.arrived(sent)).items()
        _, body = split(arrival.content)
        assert "ann@dest.example" == recipient
        assert body.startswith(b"one")
        assert body.endswith(SECOND)
        assert not has_bare_line_end(arrival.content)
    assert len(ENDS) == len(relay.sink.arrivals)
    assert "(line ends were cleaned: " in await relay.command("message", sent.id.hex)


async def test_or_is_refused_with_it(relay: SharedRelay) -> None:
    before = len(relay.sink.arrivals)
    await relay.profile("own", "strict", "native", "conformance.line_endings=refuse")
    login = await relay.login("own", "strict")
    contents = [HEADER + b"one" + end + SECOND + b".\r\n" for end in ENDS]
    replies = await asyncio.to_thread(say, relay.port, login, contents)
    assert {"550 5.5.2 Lines end with <CR><LF>; bare CR, bare LF or NUL seen"} == set(replies)
    assert await relay.database.fetchval("SELECT count(*) FROM due_submissions") == 0
    assert before == len(relay.sink.arrivals)
