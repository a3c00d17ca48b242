"""What is remembered of messages: never more than its room, always the newest."""

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from posthouse.store.recent import RecentMessages

ROOM = 100
KEYS = st.integers(0, 9).map(lambda n: UUID(int=n))
BYTES = st.integers(0, 70).map(bytes)


class Remembering(RuleBasedStateMachine):
    """Against the obvious way: a list of what was put, the oldest leaving until the rest fits."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = RecentMessages(ROOM)
        self.expected: list[tuple[UUID, tuple[bytes, bytes]]] = []

    def _size(self) -> int:
        return sum(len(header) + len(body) for _, (header, body) in self.expected)

    def _forget(self, key: UUID) -> None:
        self.expected = [entry for entry in self.expected if entry[0] != key]

    @rule(key=KEYS, header=BYTES, body=BYTES)
    def put(self, key: UUID, header: bytes, body: bytes) -> None:
        """Also of a key that is there, and of what has no room at all."""
        self.recent.put(key, header, body)
        self._forget(key)
        if len(header) + len(body) <= ROOM:
            self.expected.append((key, (header, body)))
            while self._size() > ROOM:
                self.expected.pop(0)

    @rule(key=KEYS)
    def take(self, key: UUID) -> None:
        """Whether it is there or not."""
        expected = dict(self.expected).get(key)
        assert expected == self.recent.take(key)
        self._forget(key)

    @invariant()
    def holds_what_is_expected(self) -> None:
        """And counts it right, which is what keeps it within its room."""
        assert self._size() == self.recent.octets <= ROOM
        for key in map(UUID, (f"{n:032x}" for n in range(10))):
            assert dict(self.expected).get(key) == self.recent.get(key)


TestRemembering = Remembering.TestCase


def test_without_room_nothing_is_remembered() -> None:
    recent = RecentMessages(0)
    recent.put(UUID(int=1), b"header", b"body")
    assert recent.get(UUID(int=1)) is None


@pytest.mark.parametrize("size", [101, 10_000])
def test_what_is_larger_than_everything_drives_nothing_out(size: int) -> None:
    recent = RecentMessages(100)
    recent.put(UUID(int=1), b"", b"small")
    recent.put(UUID(int=2), b"", bytes(size))
    assert recent.get(UUID(int=1)) == (b"", b"small")
    assert recent.get(UUID(int=2)) is None
