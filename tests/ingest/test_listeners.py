"""Listeners: how they are written, their sockets, and what is said when they cannot be had."""

import asyncio
import socket
import time
from ipaddress import ip_network

import pytest

from ingest.listeners import Listener, TlsMode, collisions
from ingest.listening_sockets import bind, found
from ingest.service import IngestService
from ingest.session_context import SessionContext
from ingest.settings import IngestSettings
from onebox.all_settings import read_settings
from posthouse.authentication.proofs import AuthKeys
from posthouse.profiles.choices import LineEndings
from posthouse.running.http_server import CannotListen
from posthouse.running.settings import SettingsError, load
from posthouse.running.tcp import Endpoint
from servers.door import OpenDoor


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        (
            "127.0.0.1:2587/starttls_required",
            Listener("127.0.0.1", range(2587, 2588), TlsMode.STARTTLS_REQUIRED),
        ),
        ("[::1]:0/implicit", Listener("::1", range(1), TlsMode.IMPLICIT)),
        ("0.0.0.0:25/none", Listener("0.0.0.0", range(25, 26), TlsMode.NONE)),  # noqa: S104
        (
            "[::]:25-26/opportunistic+proxy=10.0.0.0/8+line_endings=refuse+idle_seconds=60+messages=9",
            Listener(
                "::",
                range(25, 27),
                TlsMode.OPPORTUNISTIC,
                (ip_network("10.0.0.0/8"),),
                LineEndings.REFUSE,
                idle_seconds=60,
                messages=9,
            ),
        ),
    ],
)
def test_X01_a_listener_is_read(text: str, listener: Listener) -> None:
    assert listener == Listener.parse(text)
    assert str(Listener.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "/none",
        "127.0.0.1:25",
        "127.0.0.1:25/tls",
        "25/none",
        ":25/none",
        "a:25-/none",
        "a:-25/none",
    ],
)
def test_a_listener_that_cannot_be_read_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=repr(text.partition("/")[0])[:-1]):
        Listener.parse(text)


@pytest.mark.parametrize("ports", ["5000-1025", "25-25", "0-25", "0-0"])
def test_a_range_of_ports_goes_up(ports: str) -> None:
    with pytest.raises(ValueError, match=f"'a:{ports}' is no range of ports"):
        Listener.parse(f"a:{ports}/none")


@pytest.mark.parametrize(
    ("option", "mistake"),
    [
        ("", "'' is not NAME=VALUE with one of these names: proxy, line_endings"),
        ("tls=1", "'tls=1' is not NAME=VALUE with one of these names"),
        ("line_endings=fix", "'line_endings=fix': should be one of clean, refuse"),
        ("proxy=10.0.0.1/8", "'proxy=10.0.0.1/8': 10.0.0.1/8 has host bits set"),
        ("proxy=::/0", "'proxy=::/0': should name the networks of the proxies"),
        ("idle_seconds=59", "'idle_seconds=59': should be a number from 60"),
        ("messages=0", "'messages=0': should be a number from 1"),
        ("messages=²", "'messages=²': should be a number from 1"),
        ("messages=1+messages=2", "messages is given twice"),
    ],
)
def test_an_option_that_cannot_be_read_is_quoted(option: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake.replace("+", r"\+")):
        Listener.parse(f"127.0.0.1:25/none+{option}")


def test_X01_a_range_is_one_name_and_options_are_no_part_of_it() -> None:
    assert Listener.parse("[::]:1025-5000/none+messages=1").name == "[::]:1025-5000/none"


# Ports of ours that are taken.


@pytest.mark.parametrize(
    ("listener", "other", "collide"),
    [
        ("0.0.0.0:1025-5000/none", "127.0.0.1:2526", True),
        ("127.0.0.1:2526/none", "0.0.0.0:2526", True),
        ("[::]:2526/none", "127.0.0.1:2526", True),
        ("[::]:2526/none", "[::1]:2526", True),
        ("127.0.0.1:1025-5000/none", "127.0.0.1:5001", False),
        ("127.0.0.1:1025-5000/none", "127.0.0.2:2526", False),
        ("0.0.0.0:1025-5000/none", "[::1]:2526", False),
        ("0.0.0.0:0/none", "127.0.0.1:0", False),
    ],
)
def test_who_may_listen_beside_a_listener(listener: str, other: str, collide: bool) -> None:
    told = list(collisions([Listener.parse(listener)], {"A_SETTING": Endpoint.parse(other)}))
    assert told == ([f"{listener} takes {other}, which is A_SETTING"] if collide else [])


GIVEN = {
    "POSTHOUSE_DATABASE_URL": "postgresql://x/y",
    "POSTHOUSE_BROKER_URL": "amqp://x/",
    "POSTHOUSE_SECRET_KEY": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA==",
}


@pytest.mark.parametrize(
    ("listeners", "mistake"),
    [
        (
            "127.0.0.1:9000-9500/none",
            "127.0.0.1:9000-9500/none takes 127.0.0.1:9180, which is POSTHOUSE_HEALTH_LISTEN",
        ),
        (
            "0.0.0.0:25/none,0.0.0.0:20-30/none",
            "0.0.0.0:25/none and 0.0.0.0:20-30/none both take port 25",
        ),
    ],
)
def test_a_collision_with_a_port_of_ours_is_a_mistake_that_names_it(
    listeners: str, mistake: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(IngestSettings, {**GIVEN, "POSTHOUSE_INGEST_LISTENERS": listeners})
    assert str(raised.value) == f"POSTHOUSE_INGEST_LISTENERS: {mistake}"


def test_up_knows_the_bounce_port_too() -> None:
    with pytest.raises(SettingsError, match="which is POSTHOUSE_BOUNCES_LISTEN"):
        read_settings({"POSTHOUSE_INGEST_LISTENERS": "0.0.0.0:1025-5000/none"})


def test_up_asks_for_a_broker_where_events_go_to_an_exchange() -> None:
    """Without one, and without RabbitMQ's own exchanges."""
    exchange = {"POSTHOUSE_EVENTS_EXCHANGE": "posthouse-events"}
    broker = {"POSTHOUSE_BROKER_URL": "amqp://mq/"}
    with pytest.raises(SettingsError, match=r"EVENTS_EXCHANGE: needs .* POSTHOUSE_BROKER_URL"):
        read_settings(exchange)
    assert "posthouse-events" == read_settings(exchange | broker).webhooks.events_exchange
    with pytest.raises(SettingsError, match=r"'amq\.topic' is an exchange of RabbitMQ itself"):
        read_settings({"POSTHOUSE_EVENTS_EXCHANGE": "amq.topic"} | broker)


# Sockets.


def service(*listeners: str) -> IngestService:
    return IngestService(
        [Listener.parse(text) for text in listeners],
        SessionContext.new(
            hostname="mx",
            intake=None,  # type: ignore[arg-type]
            directory=None,  # type: ignore[arg-type]
            keys=AuthKeys(b"", b""),
            tls=None,
            new_id=None,  # type: ignore[arg-type]
            clock=time.monotonic,
        ),
    )


def test_a_listener_with_tls_needs_a_certificate() -> None:
    with pytest.raises(CannotListen, match="0/implicit needs a TLS certificate"):
        service("127.0.0.1:0/none", "127.0.0.1:0/implicit")


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotListen, match=rf"127\.0\.0\.1:{port}/none: Address already in use"
        ):
            service(f"127.0.0.1:{port}/none").bind()
        with pytest.raises(CannotListen, match=rf"/none \(127\.0\.0\.1:{port}\): Address already"):
            service(f"127.0.0.1:{port}-{port + 1}/none").bind()


async def test_a_client_over_ipv6() -> None:
    ipv6 = service("[::1]:0/none")
    ipv6.bind()
    stopping = asyncio.Event()
    task = asyncio.create_task(ipv6.run(stopping))
    reader, writer = await asyncio.open_connection("::1", ipv6.addresses[0].port)
    assert (await reader.readline()).startswith(b"220 mx ")
    stopping.set()
    await task
    writer.close()


def test_more_ports_than_files_is_said_before_any_is_taken() -> None:

    with pytest.raises(CannotListen, match=r"65535 ports in 64 processes: .* needs 4194496 open"):
        bind([Listener.parse("127.0.0.1:1-65535/none")], processes=64)


def test_port_0_is_the_same_in_each_process() -> None:
    listeners = [Listener.parse("127.0.0.1:0/none+messages=5")]
    first, second = bind(listeners, processes=2)
    assert found(listeners, first) == found(listeners, second)
    (at,) = found(listeners, first)
    assert at.ports[0] > 0
    assert str(at) == f"{at.name}+messages=5"
    for sockets in (*first, *second):
        sockets[0].close()


# What holds on a connection.


async def test_X17_a_connection_takes_so_many_messages_and_says_so(open_door: OpenDoor) -> None:
    door = await open_door("none+messages=2")
    client = await door.logged_in()
    for _ in range(2):
        await client.envelope()
        assert await client.say("RSET") == "250 2.0.0 Ok"
    assert await client.say("MAIL FROM:<jo@a.example>") == (
        "421 4.7.0 One connection takes 2 messages: connect again"
    )
    assert await client.is_closed()


def test_T04_X17_the_times_and_counts_of_a_vendor_are_those_of_a_listener() -> None:
    """As docs/profiles/mailtarget.md gives it."""
    found = Listener.parse("[::]:587/opportunistic+idle_seconds=60+messages=100")
    assert (60, 100, TlsMode.OPPORTUNISTIC) == (found.idle_seconds, found.messages, found.tls)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        # C05: the later page of CritSend; U04: that of MailUp, beside 1025 to 5000.
        ("25/opportunistic 2525/opportunistic 587/none 465/implicit", {25, 465, 587, 2525}),
        (
            "23/opportunistic 25-26/opportunistic 587/opportunistic 1025-5000/opportunistic",
            {23, 25, 26, 587, *range(1025, 5001)},
        ),
    ],
)
def test_C05_U04_the_ports_of_later_pages_are_one_setting(text: str, ports: set[int]) -> None:
    named = ",".join(f"[::]:{one}" for one in text.split())
    listeners = load(
        IngestSettings, {**GIVEN, "POSTHOUSE_INGEST_LISTENERS": named}
    ).ingest_listeners
    assert ports == {port for listener in listeners for port in listener.ports}
