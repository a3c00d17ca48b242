"""Who gets a connection when there are few left, by a clock that the test turns."""

import asyncio

import pytest

from bounces.open_connections import ClientLimits, OpenConnections, client_of


class Clock:
    """Stands still unless it is set."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Connection:
    """Remembers what was done to it."""

    def __init__(self, heard_at: float = 0.0) -> None:
        self.heard_at = heard_at
        self.replies: list[str] = []
        self.was_cut = False

    def send_away(self, reply: str) -> None:
        """See OpenConnection."""
        self.replies.append(reply)

    def cut(self) -> None:
        """See OpenConnection."""
        self.was_cut = True


async def test_a_full_port_makes_room_by_closing_what_was_silent_for_longest() -> None:
    clock = Clock()
    connections = OpenConnections(ClientLimits(connections=2), clock)
    first, second = Connection(), Connection(heard_at=1.0)
    assert connections.admit(first, ("192.0.2.1", 1))
    assert connections.admit(second, ("192.0.2.2", 1))

    clock.now = 14.0
    assert not connections.admit(Connection(), ("192.0.2.3", 1))
    clock.now = 15.0
    assert connections.admit(Connection(heard_at=15.0), ("192.0.2.3", 1))
    assert (True, False) == (first.was_cut, second.was_cut)
    assert not connections.admit(Connection(), ("192.0.2.4", 1))


async def test_a_client_makes_no_room_for_itself_by_closing_others() -> None:
    clock = Clock()
    limits = ClientLimits(connections=2, connections_per_client=1)
    connections = OpenConnections(limits, clock)
    other, own = Connection(), Connection()
    assert connections.admit(other, ("192.0.2.1", 1))
    assert connections.admit(own, ("2001:db8::1", 1, 0, 0))
    clock.now = 100.0
    assert not connections.admit(Connection(), ("2001:db8::2", 1, 0, 0))
    assert not other.was_cut


async def test_a_connection_that_has_left_is_counted_no_longer() -> None:
    connections = OpenConnections(ClientLimits(connections_per_client=1), Clock())
    first = Connection()
    assert connections.admit(first, ("192.0.2.1", 1))
    connections.leave(first)
    connections.leave(first)
    assert connections.admit(Connection(), ("192.0.2.1", 2))
    assert not connections.admit(Connection(), ("192.0.2.1", 3))


async def test_the_check_of_readiness_is_let_in_once_and_not_counted() -> None:
    connections = OpenConnections(ClientLimits(connections=1), Clock())
    assert connections.admit(Connection(), ("192.0.2.1", 1))
    connections.expect_check(("127.0.0.1", 7))
    assert connections.admit(Connection(), ("127.0.0.1", 7))
    assert not connections.admit(Connection(), ("127.0.0.1", 8))
    connections.end_check(("127.0.0.1", 7))
    assert not connections.admit(Connection(), ("127.0.0.1", 7))


async def test_messages_are_counted_by_client_and_minute() -> None:
    clock = Clock()
    connections = OpenConnections(ClientLimits(messages_per_minute=1), clock)
    assert connections.message("192.0.2.1")
    assert not connections.message("192.0.2.1")
    assert connections.message("192.0.2.2")
    clock.now = 60.0
    assert connections.message("192.0.2.1")


async def test_a_stopping_port_admits_no_connection_and_ends_with_the_last_one() -> None:
    connections = OpenConnections(ClientLimits(), Clock())
    last = Connection()
    assert connections.admit(last, ("192.0.2.1", 1))
    async with asyncio.TaskGroup() as tasks:
        finishing = tasks.create_task(connections.finish())
        await asyncio.sleep(0)
        assert ["421 4.3.2 Closing down"] == last.replies
        assert not connections.admit(Connection(), ("192.0.2.2", 1))
        assert not finishing.done()
        connections.leave(last)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:0db8:0000:0000"),
        ("2001:db8::ffff", "2001:0db8:0000:0000"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_client_is_an_ipv4_address_or_64_bits_of_ipv6(address: str, client: str) -> None:
    assert client == client_of(address)
