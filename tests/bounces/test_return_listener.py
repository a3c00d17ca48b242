"""The port for returned mail, over real connections."""

import asyncio
import ssl
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import trustme

from bounces.core.reports.reading import read
from bounces.core.verdict import decide
from bounces.return_listener import ReturnListener
from chaos.program import readiness
from posthouse.mail.events import EventKind
from posthouse.running.health import Health
from posthouse.running.http_server import CannotListen
from posthouse.running.tcp import Endpoint
from posthouse.store import StoreRefused, StoreUnavailable
from servers.bounce_port import HOST, KEY, OLD_KEY, TODAY, Port, counted, own, running
from servers.patience import eventually
from servers.returned_mail import OURS, REPORTS, service_of

MOST_OCTETS = 40 * 1024 * 1024
REPORT = {path.stem: path.read_bytes().replace(b"\n", b"\r\n") for path in REPORTS}


def rule_of(name: str) -> str:
    """The rule that decides about a report."""
    return decide(read(REPORT[name]), OURS).rule


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with running() as port:
        yield port


async def test_a_report_of_a_dead_mailbox_suppresses_our_own_recipient(port: Port) -> None:
    before = counted("posthouse_returns_total", kind="dsn", verdict="suppressed")
    assert await port.give(REPORT["user_unknown"], own()) == "250 2.0.0 Ok"

    (event,) = port.returns.events
    assert event.kind is EventKind.BOUNCED
    assert (event.account_id, event.delivery_id) == (OURS.account_id, UUID(int=1))
    assert port.returns.suppressed == ["ann@dest.example"]
    assert event.detail["final_recipient"] == "ann@dest.example"
    assert event.detail["status"] == "5.1.1"
    assert event.detail["rule"] == rule_of("user_unknown")
    assert event.detail["client"] == "127.0.0.1"
    after = counted("posthouse_returns_total", kind="dsn", verdict="suppressed")
    assert after == before + 1


async def test_a_report_that_does_not_suppress_is_an_event_only(port: Port) -> None:
    await port.give(REPORT["mailbox_full"], own(1))
    await port.give(REPORT["vacation"], own(2))
    await port.give(REPORT["delivered"], own(3))
    assert [event.kind for event in port.returns.events] == [
        EventKind.BOUNCED,
        EventKind.REPLIED,
        EventKind.CONFIRMED,
    ]
    assert port.returns.suppressed == []
    assert port.returns.events[0].detail["rule"] == rule_of("mailbox_full")


async def test_a_forwarding_that_is_dead_is_noted(port: Port) -> None:
    """Ann's mail was sent on to another address: that one is gone, and not hers."""
    await port.give(REPORT["forwarded"], own())
    (event,) = port.returns.events
    assert event.kind is EventKind.BOUNCED
    assert event.detail["final_recipient"] == "ann.old@elsewhere.example"
    assert event.detail["rule"].startswith("another address: ")
    assert port.returns.suppressed == []


async def test_of_two_groups_that_a_line_of_blanks_divides_ours_counts(port: Port) -> None:
    groups = (
        "Final-Recipient: rfc822; zed@dest.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        " \t \r\n"
        "Final-Recipient: rfc822; ann@dest.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n"
    )
    head, _, rest = REPORT["user_unknown"].partition(b"Final-Recipient")
    content = head + groups.encode() + rest[rest.index(b"\r\n--") :]
    assert (await port.give(content, own())).startswith("250")
    assert [EventKind.CONFIRMED] == [event.kind for event in port.returns.events]
    assert port.returns.suppressed == []


async def test_a_second_report_that_says_more_is_not_lost(port: Port) -> None:
    await port.give(REPORT["mailbox_full"], own())
    await port.give(REPORT["user_unknown"], own())
    rules = [rule_of("mailbox_full"), rule_of("user_unknown")]
    assert rules == [event.detail["rule"] for event in port.returns.events]
    assert port.returns.suppressed == ["ann@dest.example"]


async def test_the_same_report_a_hundred_times_is_one_event(port: Port) -> None:
    async with port.client() as client:
        replies = {await client.give(REPORT["user_unknown"], own()) for _ in range(100)}
    assert replies == {"250 2.0.0 Ok"}
    assert len(port.returns.events) == 1
    assert port.returns.suppressed == ["ann@dest.example"]


FORGED = {
    "no token": f"ann@{HOST}",
    "postmaster of another host": "postmaster@elsewhere.example",
    "another role": f"hostmaster@{HOST}",
    "another complaint address": "fbl@other.example",
    "no domain": own().partition("@")[0],
    "no hash": f"b+{'a' * 48}@{HOST}",
    "another key": own(key=b"x" * 32),
    "changed": own().replace("b+a", "b+b", 1),
    "cut": own().replace(f"@{HOST}", "")[:-1] + f"@{HOST}",
    "expired": own(day=TODAY - timedelta(days=15)),
    "from the future": own(day=TODAY + timedelta(days=2)),
    "unknown delivery": own(99),
    "another host": own(host="bounce.other.example"),
    "another domain behind it": f"{own()}.evil.example",
    "not ascii": own().replace("b+", "ü+"),
}


@pytest.mark.parametrize("address", FORGED.values(), ids=FORGED)
async def test_an_address_that_is_not_ours_is_refused_at_rcpt(port: Port, address: str) -> None:
    async with port.client() as client:
        assert (await client.start(address)).startswith(("550 5.1.1", "553 5.1.3"))
        assert (await client.send("DATA")).startswith("503")
    assert port.returns.events == []


@pytest.mark.parametrize(
    "address",
    [
        own().replace("b+", '"b+').replace("@", '"@'),
        own().upper(),
        own(key=OLD_KEY),
        own(day=TODAY - timedelta(days=14)),
    ],
    ids=["quoted", "upper case", "older key", "last day"],
)
async def test_an_address_that_is_still_ours_is_taken(port: Port, address: str) -> None:
    port.returns.deliveries[OURS.id] = replace(OURS, return_path=address.replace('"', ""))
    assert await port.give(REPORT["user_unknown"], address) == "250 2.0.0 Ok"
    assert len(port.returns.events) == 1


async def test_a_second_recipient_has_to_come_again(port: Port) -> None:
    async with port.client() as client:
        await client.start(own(1))
        assert (await client.send(f"RCPT TO:<{own(2)}>")).startswith("452")
        assert (await client.send("RCPT TO:<ann@elsewhere.example>")).startswith("452")
        assert (await client.text(REPORT["user_unknown"])).startswith("250")
    assert [event.delivery_id for event in port.returns.events] == [UUID(int=1)]


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), StoreRefused("bad"), KeyError(1)])
async def test_trouble_in_here_is_temporary_out_there(port: Port, failure: Exception) -> None:
    async with port.client() as client:
        port.returns.failure = failure
        assert (await client.start(own())).startswith("451 4.3.0")
        port.returns.failure = None
        assert (await client.send(f"RCPT TO:<{own()}>")).startswith("250")
        port.returns.failure = failure
        assert (await client.text(REPORT["user_unknown"])).startswith("451 4.3.0")
        port.returns.failure = None
        assert (await client.give(REPORT["user_unknown"], own())).startswith("250")
    assert len(port.returns.events) == 1


async def test_line_ends_of_any_kind_are_text_and_only_a_dot_between_crlf_ends_it(
    port: Port,
) -> None:
    content = REPORT["user_unknown"].replace(b"\r\n", b"\n")
    smuggled = b"\n.\nMAIL FROM:<x@y.example>\r\n.\nRCPT TO:<ann@dest.example>\n.\r\nDATA\n"
    async with port.client() as client:
        assert (await client.give(content + smuggled, own())).startswith("250")
        assert (await client.send("NOOP")).startswith("250")
    assert port.returns.suppressed == ["ann@dest.example"]


async def test_text_arrives_byte_by_byte_or_all_at_once(port: Port) -> None:
    """Dots at line starts are undone, and what follows the end is the next command."""
    content = b"Subject: hello\r\n\r\n..one\r\n...two\r\n.\x00three\r\n\r\n.\r\n"
    async with port.client() as client:
        await client.start(own(1))
        assert (await client.send("DATA")).startswith("354")
        for octet in content:
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.reply()).startswith("250")
        client.writer.write(
            f"MAIL FROM:<>\r\nRCPT TO:<{own(2)}>\r\nDATA\r\n".encode() + content + b"QUIT\r\n"
        )
        replies = [(await client.reply())[:3] for _ in range(5)]
    assert replies == ["250", "250", "354", "250", "221"]
    assert {e.detail["excerpt"] for e in port.returns.events} == {".one ..two three"}


async def test_an_empty_text_is_a_message_too(port: Port) -> None:
    async with port.client() as client:
        await client.start(own())
        await client.send("DATA")
        assert (await client.send(b".\r\n")).startswith("250")
    assert [event.kind for event in port.returns.events] == [EventKind.RETURNED]


async def test_a_report_of_26_mib_is_taken_and_never_in_memory_whole(port: Port) -> None:
    """Only the first mebibyte is read; what the report says stands there."""
    content = REPORT["user_unknown"] + b"x" * (1 << 20)  # one long line
    tracemalloc.start()
    try:
        async with port.client() as client:
            await client.start(own())
            await client.send("DATA")
            for _ in range(26):
                client.writer.write(content)
                await client.writer.drain()
            del content
            assert await client.send(b"\r\n.\r\n") == "250 2.0.0 Ok"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert port.returns.suppressed == ["ann@dest.example"]
    assert peak < 12 << 20, peak


async def test_many_long_reports_at_one_time_share_32_mib_and_short_ones_need_nothing_of_it() -> (
    None
):
    long = b"x" * (1 << 20) + b"\r\n"
    async with running(connections_per_client=100) as port, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(port.client()) for _ in range(40)]
        tracemalloc.start()
        try:
            for client in clients:
                await client.start(own())
                await client.send("DATA")
                client.writer.write(long)
                await client.writer.drain()
            assert (await port.give(REPORT["user_unknown"], own(2))).startswith("250")
            replies = [await client.send(b".\r\n") for client in clients]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        told = Counter(reply[:9] for reply in replies)
        assert set(told) == {"250 2.0.0", "452 4.3.1"}
        assert told["250 2.0.0"] >= 30
        assert peak < 100 << 20, peak
        assert (await port.give(long, own(3))).startswith("250")


async def test_more_than_40_mib_are_refused_before_or_after(port: Port) -> None:
    async with port.client() as client:
        greeting = await client.send("EHLO mx.dest.example")
        assert f"SIZE {MOST_OCTETS}" in greeting
        assert (await client.send(f"MAIL FROM:<> SIZE={MOST_OCTETS + 1}")).startswith("552")
        assert (await client.give(b"x" * (MOST_OCTETS + 1), own())).startswith("552 5.3.4")
        assert (await client.send("NOOP")).startswith("250")
    assert port.returns.events == []


async def test_hostile_nesting_is_an_event_like_any_other(port: Port) -> None:
    heads = [
        b'Content-Type: multipart/mixed; boundary="%d."\r\n\r\n--%d.\r\n' % (level, level)
        for level in range(20_000)
    ]
    assert await port.give(b"".join(heads), own()) == "250 2.0.0 Ok"
    assert [event.kind for event in port.returns.events] == [EventKind.RETURNED]


async def test_auth_is_neither_offered_nor_taken(port: Port) -> None:
    async with port.client() as client:
        assert "AUTH" not in await client.send("EHLO mx.dest.example")
        assert (await client.send("AUTH PLAIN AGEAYg==")).startswith("502")


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(port: Port) -> None:
    async with port.client() as client:
        await client.start(own())
        await client.send("DATA")
        client.writer.write(REPORT["user_unknown"])
    async with port.client() as client:
        assert (await client.send("NOOP")).startswith("250")
    assert port.returns.events == []


async def test_starttls_is_offered_with_a_certificate_and_forgets_what_was_said_before() -> None:
    authority = trustme.CA()
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    authority.issue_cert("mx.sender.example").configure_cert(server)
    authority.configure_trust(client)
    async with running(tls=server) as port, port.client() as conversation:
        assert "STARTTLS" in await conversation.send("EHLO mx.dest.example")
        conversation.writer.write(b"STARTTLS\r\nMAIL FROM:<>\r\n")
        assert (await conversation.reply()).startswith("220")
        await conversation.writer.start_tls(client, server_hostname="mx.sender.example")
        assert (await conversation.send(f"RCPT TO:<{own()}>")).startswith("503")
        greeting = await conversation.send("EHLO mx.dest.example")
        assert "STARTTLS" not in greeting
        assert "AUTH" not in greeting
        assert (await conversation.give(REPORT["user_unknown"], own())).startswith("250")
        assert len(port.returns.events) == 1


async def test_200_connections_of_one_address_leave_room_for_others_and_the_port_ready() -> None:
    async with running() as port, AsyncExitStack() as stack:
        replies = []
        for _ in range(200):
            client = await port.connect()
            stack.callback(client.writer.close)
            replies.append((await client.reply())[:9])
        assert {"220 mx.se": 20, "421 4.3.2": 180} == Counter(replies)

        async with Health(Endpoint("127.0.0.1", 0), {"bounces": port.listener.check}) as health:
            assert (await readiness(health.address.port)).startswith("HTTP/1.1 200")
        assert (await port.give(REPORT["user_unknown"], own(), "127.0.0.2")).startswith("250")
        assert port.returns.suppressed == ["ann@dest.example"]


async def test_one_connection_too_many_is_answered_421_until_another_ends() -> None:
    async with running(connections=1) as port:
        async with port.client():
            refused = await port.connect("127.0.0.2")
            assert (await refused.reply()).startswith("421 4.3.2")
            assert await refused.reader.read() == b""
            refused.writer.close()
            await port.listener.check()

        async def has_room() -> bool:
            client = await port.connect()
            greeting = await client.reply()
            client.writer.close()
            return greeting.startswith("220")

        await eventually(has_room)


async def test_one_message_too_many_in_a_minute_is_answered_451() -> None:
    async with running(messages_per_minute=2) as port:
        async with port.client() as client:
            assert (await client.give(REPORT["user_unknown"], own(1))).startswith("250")
            assert (await client.give(REPORT["user_unknown"], own(2))).startswith("250")
            assert (await client.send("MAIL FROM:<>")).startswith("451 4.7.1")
            assert (await client.send("RCPT TO:<ann@dest.example>")).startswith("503")
        assert (await port.give(REPORT["user_unknown"], own(3), "127.0.0.2")).startswith("250")


async def test_an_idle_client_is_told_so_and_one_that_stops_in_its_message_is_cut() -> None:
    async with running(idle_seconds=0.2) as port, port.client() as idle, port.client() as halfway:
        await halfway.start(own())
        await halfway.send("DATA")
        assert (await idle.reply()).startswith("421 4.4.2")
        assert await halfway.reader.read() == b""
        assert [] == port.returns.events


async def test_stopping_sends_the_idle_away_and_lets_a_message_end() -> None:
    async with running() as port, port.client() as idle, port.client() as busy:
        await busy.start(own())
        assert (await busy.send("DATA")).startswith("354")
        port.stopping.set()
        assert (await idle.reply()).startswith("421 4.3.2")
        assert (await busy.send(REPORT["user_unknown"] + b"\r\n.\r\n")).startswith("250")
        assert (await busy.reply()).startswith("421")
        assert len(port.returns.events) == 1


async def test_a_failure_inside_keeps_no_connection_open_when_it_stops() -> None:
    async with running() as port, port.client() as client:
        await client.start(own())
        port.returns.failure = KeyError(1)
        assert (await client.text(REPORT["user_unknown"])).startswith("451 4.3.0")
        port.stopping.set()
        assert (await client.reply()).startswith("421 4.3.2")


async def test_cancelled_while_stopping_it_cuts_what_is_left() -> None:
    async with running() as port, port.client() as busy:
        task = next(t for t in asyncio.all_tasks() if "ReturnListener.run" in repr(t))
        await busy.start(own())
        await busy.send("DATA")
        port.stopping.set()
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        assert await busy.reader.read() == b""


async def test_a_port_that_is_taken_is_named(port: Port) -> None:
    address = await port.listener.address()
    other = ReturnListener(
        *service_of(port.returns, (KEY,), TODAY),
        address,
        hostname="mx.sender.example",
    )
    with pytest.raises(CannotListen, match=str(address)):
        await other.run(asyncio.Event())
