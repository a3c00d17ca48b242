"""How many wrong logins are taken, so that nobody guesses, and nobody locks another out.

- A user at an address has ten wrong ones in ten minutes: a program with an old secret stops itself.
- An address has a hundred, of whatever users.
- A user has a hundred, from whatever addresses: then a login of it waits, and none is refused.
- None of this holds for a user where it logged in rightly within a week, nor in exempt networks:
  there guesses are slowed down by their replies, and by the limit of connections.

Each process counts for itself, in bounded memory.
"""

from collections import Counter as Counts
from collections.abc import Callable
from math import ceil
from typing import TypeVar

from prometheus_client import Counter

from posthouse.authentication.client_networks import is_within, network_of

LIMITED = Counter(
    "posthouse_logins_limited",
    "Logins turned away, or made to wait, after too many wrong ones or while too many are checked",
    ["limit"],
)

_WINDOW_SECONDS = 600.0
_MOST_OF_A_USER_AT_AN_ADDRESS = 10
_MOST_OF_AN_ADDRESS = 100
_MOST_OF_A_USER = 100
_COUNTED = 10_000  # of each kind

_KNOWN_SECONDS = 7 * 86_400.0
_KNOWN_USERS = 10_000
_KNOWN_ADDRESSES = 16  # of each user

K = TypeVar("K")
V = TypeVar("V")


class LoginLimits:
    """Counts wrong logins, and remembers where right ones came from."""

    def __init__(self, clock: Callable[[], float], exempt: tuple[str, ...] = ()) -> None:
        """*clock* tells monotonic seconds; *exempt*: networks without these limits."""
        self._clock = clock
        self._exempt = exempt
        self._of_user_at_address = _Counts(_MOST_OF_A_USER_AT_AN_ADDRESS)
        self._of_address = _Counts(_MOST_OF_AN_ADDRESS)
        self._of_user = _Counts(_MOST_OF_A_USER)
        self._places: dict[str, dict[str, float]] = {}  # of a user: networks, each until then

    def is_known(self, client: str, username: str) -> bool:
        """Whether *username* logged in rightly from there within a week, or it is exempt."""
        until = self._places.get(username, {}).get(network_of(client), 0.0)
        return self._clock() < until or (bool(self._exempt) and is_within(client, self._exempt))

    def seconds_shut(self, client: str, username: str) -> int:
        """In how many seconds it may be tried; 0: now. For who is not known."""
        network, now = network_of(client), self._clock()
        at_address = self._of_user_at_address.seconds_left((network, username), now)
        seconds = at_address or self._of_address.seconds_left(network, now)
        if seconds:
            LIMITED.labels("user_at_address" if at_address else "address").inc()
        return ceil(seconds)

    def makes_wait(self, username: str) -> bool:
        """Whether so many were wrong, from wherever, that a login has to wait."""
        is_attacked = self._of_user.seconds_left(username, self._clock()) > 0
        if is_attacked:
            LIMITED.labels("user").inc()
        return is_attacked

    def was_wrong(self, client: str, username: str) -> None:
        """Count a wrong login of who is not known."""
        network, now = network_of(client), self._clock()
        self._of_user_at_address.count((network, username), now)
        self._of_address.count(network, now)
        self._of_user.count(username, now)

    def was_right(self, client: str, username: str) -> None:
        """Remember where it came from."""
        places = self._places.get(username, {})
        put(places, network_of(client), self._clock() + _KNOWN_SECONDS, _KNOWN_ADDRESSES)
        put(self._places, username, places, _KNOWN_USERS)


class _Counts:
    """Wrong logins within the time that began with the first; forgets the oldest entries."""

    def __init__(self, most: int) -> None:
        self._most = most
        # By a hash that nobody outside can foresee: user names of strangers are not kept.
        self._entries: dict[int, tuple[int, float]] = {}

    def count(self, key: object, now: float) -> None:
        wrong, since = self._lately(key, now)
        put(self._entries, hash(key), (wrong + 1, since), _COUNTED)

    def seconds_left(self, key: object, now: float) -> float:
        """Until there may be more; 0.0 when there may be now."""
        wrong, since = self._lately(key, now)
        return since + _WINDOW_SECONDS - now if wrong >= self._most else 0.0

    def _lately(self, key: object, now: float) -> tuple[int, float]:
        wrong, since = self._entries.get(hash(key), (0, now))
        return (wrong, since) if now - since < _WINDOW_SECONDS else (0, now)


def put(entries: dict[K, V], key: K, value: V, most: int) -> None:
    """Make *key* the newest entry; drop the oldest when there are more than *most*."""
    entries.pop(key, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value


def take_one(counter: "Counts[K]", key: K) -> None:
    """Count one less of *key*; forget it with the last one."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def seconds_until_answer(elapsed: float, step: float) -> float:
    """How long the answer to a failed login waits, *elapsed* seconds after it was tried.

    To the next multiple of *step*, so that what it took to find out does not show.
    """
    return step - elapsed % step if step else 0.0
