"""The order in which an attempt asks the hosts of a route."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.failed_hosts import MOST_HOSTS, REST_SECONDS, FailedHosts, Shuffle
from dispatcher.core.routes import Route, TlsPolicy

A, B, C, D = "a.example", "b.example", "c.example", "d.example"
AN_ATTEMPT = 5


def chance() -> Shuffle:
    return random.Random(1).shuffle  # noqa: S311 -- no secrets


def unshuffled(_: list[str]) -> None:
    """Chance that leaves everything as it is."""


def route(*by_preference: tuple[str, ...], port: int = 25) -> Route:
    return Route(by_preference, port, "example", TlsPolicy.CLEAR)


@pytest.fixture
def hosts() -> FailedHosts:
    return FailedHosts(unshuffled)


def test_equal_hosts_are_shuffled_and_no_better_one_is_passed_over() -> None:
    hosts = FailedHosts(chance())
    seen = {tuple(hosts.in_order(route((A, B), (C, D)), 0)) for _ in range(100)}

    assert {(A, B, C, D), (B, A, C, D), (A, B, D, C), (B, A, D, C)} == seen


def test_a_host_that_failed_rests_behind_the_others_and_is_asked_last(hosts: FailedHosts) -> None:
    hosts.failed(A, 25, 0)

    assert [B, C, A] == hosts.in_order(route((A,), (B,), (C,)), 1)
    assert [A, B, C] == hosts.in_order(route((A,), (B,), (C,), port=26), 1)


def test_only_one_attempt_asks_it_again_after_its_rest(hosts: FailedHosts) -> None:
    """The others need not wait until a host that drops packets has timed out once more."""
    hosts.failed(A, 25, 0)
    two = route((A,), (B,))

    assert [[A, B], [B, A], [B, A]] == [hosts.in_order(two, REST_SECONDS) for _ in range(3)]
    assert [A, B] == hosts.in_order(two, 2 * REST_SECONDS)


def test_a_host_that_answered_is_as_good_as_before(hosts: FailedHosts) -> None:
    hosts.failed(A, 25, 0)
    hosts.answered(A, 25)

    assert [A, B] == hosts.in_order(route((A,), (B,)), 1)


def test_an_equal_host_comes_back_too() -> None:
    """By chance it is in front of the one that works, and then it is asked."""
    hosts = FailedHosts(chance())
    hosts.failed(A, 25, 0)
    equal = route((A, B))

    assert all([B, A] == hosts.in_order(equal, 1) for _ in range(10))
    assert [A, B] in [hosts.in_order(equal, REST_SECONDS) for _ in range(10)]


@pytest.mark.parametrize("wait", [1, REST_SECONDS, 4 * 3600])
@pytest.mark.parametrize("equal", [True, False])
def test_more_hosts_than_an_attempt_asks_are_reached_over_the_attempts(
    wait: float, *, equal: bool
) -> None:
    """However long it is from one to the next."""
    names = [f"mx{number:02}.example" for number in range(17)]
    to = route(tuple(names)) if equal else route(*((name,) for name in names))
    hosts = FailedHosts(chance())
    asked: set[str] = set()
    for attempt in range(5):
        for host in hosts.in_order(to, attempt * wait)[:AN_ATTEMPT]:
            hosts.failed(host, 25, attempt * wait)
            asked.add(host)

    assert set(names) == asked


def test_a_backup_is_best_only_while_every_better_host_rests(hosts: FailedHosts) -> None:
    to = route((A, B), (C,))
    hosts.failed(A, 25, 0)
    only_one = hosts.is_best(to, C, 0)
    hosts.failed(B, 25, 10)

    assert not only_one
    assert hosts.is_best(to, A, 10)
    assert hosts.is_best(to, C, 10)
    assert not hosts.is_best(to, C, REST_SECONDS)


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C, D]), st.booleans(), st.floats(0, 100))),
    st.integers(0, 2**32),
)
def test_every_host_is_asked_once_whatever_has_failed(
    history: list[tuple[str, bool, float]], seed: int
) -> None:
    """And one that did not fail comes after worse ones never."""
    hosts = FailedHosts(random.Random(seed).shuffle)  # noqa: S311 -- no secrets
    to = route((A, B), (C,), (D,))
    sound, now = {A, B, C, D}, 0.0
    for host, fails, pause in history:
        now += pause
        if fails:
            hosts.failed(host, 25, now)
            sound.discard(host)
        else:
            hosts.answered(host, 25)
            sound.add(host)
        order = hosts.in_order(to, now)
        ranks = [{A: 1, B: 1, C: 2, D: 3}[host] for host in order if host in sound]

        assert sorted(order) == [A, B, C, D]
        assert sorted(ranks) == ranks
        assert not any(hosts.is_best(to, backup, now) for backup in (C, D) if sound & {A, B})


def test_what_is_remembered_has_a_bound(hosts: FailedHosts) -> None:
    for number in range(MOST_HOSTS + 1):
        hosts.failed(f"mx{number}.example", 25, number)

    first, second = "mx0.example", "mx1.example"
    assert [first, second] == hosts.in_order(route((first, second)), MOST_HOSTS + 1)
    assert [C, second] == hosts.in_order(route((second,), (C,)), 2)
