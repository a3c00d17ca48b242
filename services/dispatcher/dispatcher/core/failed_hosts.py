"""Hosts that did not take mail when they were last asked: in which order the others come."""

from collections.abc import Callable
from dataclasses import dataclass

from dispatcher.core.routes import Route

# For so long (seconds) a host that failed is asked after all others. Then one attempt asks it in
# its turn, and if that fails too, the next one as much later.
REST_SECONDS = 60.0

MOST_HOSTS = 10_000

Shuffle = Callable[[list[str]], None]


@dataclass(slots=True)
class _Failure:
    at: float
    asked_again_at: float


class FailedHosts:
    """Remembers hosts by name and port until they answer. Times are seconds of a steady clock."""

    def __init__(self, shuffle: Shuffle) -> None:
        """*shuffle*: brings hosts of equal preference into a random order."""
        self._shuffle = shuffle
        self._known: dict[tuple[str, int], _Failure] = {}

    def failed(self, host: str, port: int, now: float) -> None:
        """It could not be reached, or turned us away."""
        self._known.pop((host, port), None)
        if len(self._known) >= MOST_HOSTS:
            del self._known[next(iter(self._known))]  # the one that failed first
        self._known[host, port] = _Failure(now, now + REST_SECONDS)

    def answered(self, host: str, port: int) -> None:
        """It was spoken to."""
        self._known.pop((host, port), None)

    def in_order(self, route: Route, now: float) -> list[str]:
        """The hosts of *route* as an attempt is to ask them.

        By preference, equal ones shuffled (RFC 5321 section 5.1). Those that failed come after the
        others, the one asked last at the end: if there are more than an attempt may ask, the next
        attempt goes on with the rest. The best of those whose rest is over is asked in its turn.
        """
        hosts: list[str] = []
        for equal in route.by_preference:
            shuffled = list(equal)
            self._shuffle(shuffled)
            hosts += shuffled
        failures = {host: known for host in hosts if (known := self._known.get((host, route.port)))}
        if not failures:
            return hosts
        sound = [host for host in hosts if host not in failures]
        resting = sorted(failures, key=lambda host: failures[host].at)
        better = hosts[: hosts.index(sound[0])] if sound else hosts
        for host in better:
            if failures[host].asked_again_at <= now:
                failures[host].asked_again_at = now + REST_SECONDS  # other attempts do not wait too
                resting.remove(host)
                return [host, *sound, *resting]
        return sound + resting

    def is_best(self, route: Route, host: str, now: float) -> bool:
        """Whether no host of *route* that is better than *host* is to be asked now."""
        for equal in route.by_preference:
            if host in equal:
                return True
            for better in equal:
                failure = self._known.get((better, route.port))
                if failure is None or failure.asked_again_at <= now:
                    return False
        return True
