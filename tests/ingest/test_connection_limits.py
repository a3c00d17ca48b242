"""How many connections there may be, and what one too many hears."""

import base64
from dataclasses import replace
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from ingest.connection_limiter import ConnectionLimiter, ConnectionLimits
from servers.door import LOGIN, SECRET, OpenDoor, Running, Wire
from servers.patience import eventually


class Nobody:
    """A session of which nothing is wanted."""

    def stop(self) -> None:
        """See Limited."""

    def abort(self) -> None:
        """See Limited."""


def limiter(now: list[float] | None = None, **limits: object) -> ConnectionLimiter:
    most = ConnectionLimits(100, 100, 100, None)._replace(**limits)  # type: ignore[arg-type]
    return ConnectionLimiter(most, lambda: now[0] if now else 0.0)


async def is_open_again(door: Running) -> bool:
    """Whether a client is greeted."""
    wire = await door.connect(greeting=False)
    return (await wire.reply()).startswith("220 ")


@pytest.mark.parametrize(
    ("limit", "reply"),
    [
        ("connections", "421 4.7.0 Too many connections: 2 are open, which is the most"),
        (
            "connections_per_address",
            "421 4.7.0 Too many connections from your address: 2 are open, which is the most",
        ),
    ],
)
async def test_connections_beyond_the_limit_are_turned_away(
    open_door: OpenDoor, limit: str, reply: str
) -> None:
    door = await open_door(**{limit: 2})
    first, second = await door.connect(), await door.connect()
    third = await door.connect(greeting=False)
    assert reply == await third.reply()
    assert await third.is_closed()
    assert await first.say("QUIT") == "221 2.0.0 Goodbye"
    assert await first.is_closed()
    assert await second.say("NOOP") == "250 2.0.0 Ok"
    await eventually(lambda: is_open_again(door), within=5)


async def log_in(door: Running, username: str = "user") -> tuple[Wire, str]:
    """A client, and the reply to its AUTH."""
    wire = await door.connect()
    await wire.say("EHLO client.example")
    proof = base64.b64encode(f"\0{username}\0{SECRET}".encode()).decode()
    return wire, await wire.say(f"AUTH PLAIN {proof}")


async def test_a_user_has_so_many_connections_from_wherever_and_others_have_theirs(
    open_door: OpenDoor,
) -> None:
    door = await open_door(connections_per_credential=2)
    other = replace(LOGIN, username="other", credential_id=UUID(int=3))
    door.directory.logins["other"] = other
    (first, _), _ = await log_in(door), await log_in(door)
    third, reply = await log_in(door)
    assert "421 4.7.0 Too many connections of this user: 2 are open, which is the most" == reply
    assert await third.is_closed()
    assert (await log_in(door, "other"))[1].startswith("235 ")

    first.writer.close()

    async def is_taken() -> bool:
        return (await log_in(door))[1].startswith("235 ")

    await eventually(is_taken, within=5)


def test_so_many_connections_of_an_address_begin_in_a_minute() -> None:
    now = [0.0]
    connections = limiter(now, a_minute=2)
    sessions = [Nobody() for _ in range(9)]

    def tries(client: str, *of: Nobody) -> list[str]:
        return [str(connections.admit(one, client) or "") for one in of]

    assert ["", ""] == tries("192.0.2.1", *sessions[:2])
    connections.leave(sessions[0], "192.0.2.1")
    now[0] = 12.5
    text = "421 4.7.0 Too many connections from your address: 2 a minute may begin, try again in {}"
    assert [text.format("48 seconds")] == tries("192.0.2.1", sessions[2])
    assert [""] == tries("192.0.2.2", sessions[3])
    now[0] = 60.0
    assert ["", "", text.format("60 seconds")] == tries("192.0.2.1", *sessions[4:7])


def test_networks_without_limits_have_only_that_of_all_together() -> None:
    connections = limiter(total=5, per_address=1, a_minute=1, unlimited=("192.0.2.0/24", "::1/128"))
    admitted = [connections.admit(Nobody(), client) for client in ("192.0.2.9",) * 3 + ("::1",)]
    assert [None] * 4 == admitted
    assert connections.admit(Nobody(), "198.51.100.1") is None
    assert "5 are open" in str(connections.admit(Nobody(), "192.0.2.9"))


def test_an_ipv6_network_of_64_bits_is_one_client() -> None:
    connections = limiter(per_address=1)
    assert connections.admit(Nobody(), "2001:db8::1") is None
    assert connections.admit(Nobody(), "2001:db8::ffff:2") is not None
    assert connections.admit(Nobody(), "2001:db8:0:1::1") is None


def test_a_client_that_was_not_admitted_leaves_without_effect() -> None:
    connections = limiter(total=0)
    nobody = Nobody()
    assert connections.admit(nobody, "192.0.2.1") is not None
    connections.leave(nobody, "192.0.2.1")
    assert not connections.open


def test_what_a_session_counted_is_forgotten_with_it() -> None:
    connections = limiter(per_address=1, per_credential=1)
    for _ in range(3):
        session = Nobody()
        assert connections.admit(session, "192.0.2.1") is None
        assert connections.log_in(session, UUID(int=1)) is None
        assert connections.log_in(session, UUID(int=1)) is None  # again, after STARTTLS
        connections.leave(session, "192.0.2.1")


def test_a_flood_is_counted_and_told_once_a_minute() -> None:
    def counted() -> float:
        name = "posthouse_connections_refused_total"
        return REGISTRY.get_sample_value(name, {"limit": "address"}) or 0

    now, before = [0.0], counted()
    connections = limiter(now, per_address=0)
    with capture_logs() as lines:
        for now[0] in (0.0, 1.0, 59.0, 61.0):
            connections.admit(Nobody(), "192.0.2.1")
    assert 4 == counted() - before
    line = {"event": "connections_refused", "limit": "address", "of": "192.0.2.1"}
    assert [line | {"log_level": "warning"}] * 2 == lines


def test_addresses_that_come_once_take_no_memory_for_ever() -> None:
    connections = limiter(total=1_000_000, a_minute=1)
    for n in range(12_000):
        session, client = Nobody(), f"10.0.{n // 256}.{n % 256}"
        connections.admit(session, client)
        connections.admit(Nobody(), client)
        connections.leave(session, client)
    kept = [len(getattr(connections, name)) for name in ("_begun", "_told", "_by_network")]
    assert [10_000, 10_000, 0] == kept
