"""Who may log in: what is remembered, what is limited and what waits, with a clock to set."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from threading import Event
from typing import Any, TypeAlias

import pytest

from posthouse.authentication import slow_checks
from posthouse.authentication.authenticator import Authenticator, Denial, Denied, LoggedIn
from posthouse.authentication.login_limits import seconds_until_answer
from posthouse.authentication.proofs import AuthKeys, keyed_hash
from posthouse.mail.scram import SALT_OCTETS, ScramKeys
from posthouse.mail.secret import hash_secret
from posthouse.mail.slow_hash import _made, slow_matches
from posthouse.smtp.commands import Credentials
from posthouse.smtp.mechanisms import CramResponse, ScramProof
from posthouse.store.logins import Login
from servers.door import LOGIN, PEPPER, SEALING, SECRET, RememberingDirectory
from servers.patience import on_this_machine, until

HERE, THERE = "192.0.2.1", "198.51.100.7"
GOOD = Credentials("user", SECRET)
BAD = Credentials("user", "wrong")
WEAK = "Sommer2024!"
QUICK = bytes((4, 8, 1))  # parameters of scrypt that take no time
SLOW = replace(LOGIN, secret_hash=_made(keyed_hash(WEAK, PEPPER), QUICK + b"s" * 16))


class Clock:
    """Stands still until told otherwise."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory() -> RememberingDirectory:
    return RememberingDirectory()


@pytest.fixture
def authenticator(directory: RememberingDirectory, clock: Clock) -> Authenticator:
    keys = AuthKeys(PEPPER, SEALING)
    return Authenticator(
        directory, keys, clock, seconds=1.0, attacked_seconds=0.0, exempt=("10.1.0.0/16",)
    )


LogIn: TypeAlias = Callable[..., Coroutine[Any, Any, object]]


@pytest.fixture
def log_in(authenticator: Authenticator) -> LogIn:
    """The login that a secret gives, or why it gives none."""

    async def result(secret: str = SECRET, client: str = HERE, username: str = "user") -> object:
        found = await authenticator.authenticate(Credentials(username, secret), client)
        return found.login if isinstance(found, LoggedIn) else found.why

    return result


# What is remembered.


async def test_a_login_is_remembered_for_half_a_minute(
    authenticator: Authenticator, directory: RememberingDirectory, clock: Clock, log_in: LogIn
) -> None:
    for _ in range(3):
        assert await log_in() == LOGIN
    assert await authenticator.current(LOGIN, LOGIN.secret_hash) == LOGIN
    assert directory.asked == ["user"]
    clock.now = 31
    assert await authenticator.current(LOGIN, LOGIN.secret_hash) == LOGIN
    assert directory.asked == ["user", "user"]


async def test_unknown_and_wrong_take_the_same_path(
    directory: RememberingDirectory, log_in: LogIn
) -> None:
    await log_in()
    assert await log_in("wrong") is Denial.WRONG
    assert await log_in("x", username="nobody") is Denial.WRONG
    assert directory.asked == ["user", "user", "nobody"]


async def test_a_new_secret_counts_at_once_and_the_old_one_does_not_outlive_it(
    authenticator: Authenticator, directory: RememberingDirectory, log_in: LogIn
) -> None:
    await log_in()
    new = replace(LOGIN, secret_hash=hash_secret("new", PEPPER))
    directory.logins["user"] = new
    assert await log_in("new") == new
    assert await log_in() is Denial.WRONG
    assert await authenticator.current(LOGIN, LOGIN.secret_hash) is None


async def test_X03_the_secret_before_counts_as_long_as_it_is_kept(
    authenticator: Authenticator, directory: RememberingDirectory, clock: Clock
) -> None:
    """So do the sessions that it began; not those of the secret before, once it has ended."""
    old = await authenticator.authenticate(GOOD, HERE)
    assert isinstance(old, LoggedIn)
    new = hash_secret("new", PEPPER)
    both = replace(LOGIN, secret_hash=new, previous_hash=LOGIN.secret_hash)
    directory.logins["user"] = both
    clock.now = 31
    for secret, stored in ((SECRET, LOGIN.secret_hash), ("new", new)):
        found = await authenticator.authenticate(Credentials("user", secret), HERE)
        assert found == LoggedIn(both, stored)
    assert await authenticator.current(*old) == both
    directory.logins["user"] = replace(both, previous_hash=None)
    clock.now = 62
    assert await authenticator.current(both, old.secret_hash) is None
    assert await authenticator.current(both, new) is not None


@pytest.mark.parametrize("gone", [None, replace(LOGIN, secret_hash=b"of another one")])
async def test_a_remembered_login_outlives_its_user_by_half_a_minute_at_most(
    directory: RememberingDirectory, clock: Clock, log_in: LogIn, gone: Login | None
) -> None:
    """Also one that is kept by scrypt."""
    directory.logins = {"user": LOGIN, "weak": replace(SLOW, username="weak")}
    await log_in()
    await log_in(WEAK, username="weak")
    directory.logins = {} if gone is None else {"user": gone, "weak": gone}
    clock.now = 30
    assert await log_in() is Denial.WRONG
    assert await log_in(WEAK, username="weak") is Denial.WRONG


# Limits of wrong logins.


async def test_X03_a_program_with_an_old_secret_stops_only_itself(
    directory: RememberingDirectory, clock: Clock, log_in: LogIn
) -> None:
    """A forgotten cron job: other users at its address log in, and so does its user elsewhere."""
    for name in ("cron", "first", "second"):
        directory.logins[name] = replace(LOGIN, username=name)
    for _ in range(10):
        assert await log_in("old", username="cron") is Denial.WRONG
    asked = len(directory.asked)
    for _ in range(500):
        assert await log_in("old", username="cron") is Denial.TOO_MANY_GUESSES
    assert len(directory.asked) == asked
    for name in ("first", "second"):
        assert isinstance(await log_in(username=name), Login)
    assert isinstance(await log_in(client=THERE, username="cron"), Login)
    clock.now = 600
    assert isinstance(await log_in(username="cron"), Login)


async def test_X03_who_logged_in_rightly_from_there_is_let_in(
    clock: Clock, log_in: LogIn, authenticator: Authenticator
) -> None:
    """Whatever others give for its name, there or elsewhere."""
    assert await log_in() == LOGIN
    clock.now = 86_400
    for i in range(100):
        for name in ("user", f"nobody{i}"):
            await log_in("guess", username=name)
        await log_in("guess", client=f"203.0.113.{i}")
    assert await log_in(username="new one") is Denial.TOO_MANY_GUESSES
    assert await log_in() == LOGIN
    clock.now = 8 * 86_400
    assert not authenticator._limits.is_known(HERE, "nobody")


async def test_X03_an_address_that_tries_many_names_is_stopped(
    directory: RememberingDirectory, log_in: LogIn
) -> None:
    for i in range(100):
        assert await log_in(username=f"name{i}") is Denial.WRONG
    asked = len(directory.asked)
    assert await log_in() is Denial.TOO_MANY_GUESSES
    assert len(directory.asked) == asked
    assert await log_in(client=THERE) == LOGIN


async def test_X03_a_user_that_is_guessed_at_from_everywhere_waits_and_is_not_locked_out(
    authenticator: Authenticator, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(100):
        assert await log_in("guess", client=f"203.0.113.{i}") is Denial.WRONG
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    authenticator._attacked_seconds = 5.0
    assert await log_in(client=THERE) == LOGIN
    assert await log_in(client=THERE) == LOGIN
    assert await log_in("guess", client="203.0.113.200") is Denial.WRONG
    assert waited == [5.0, 5.0]  # where it has been let in it waits no more


async def test_X03_a_key_that_begins_with_the_name_of_another_user_lets_nobody_guess_at_it(
    authenticator: Authenticator, directory: RememberingDirectory, log_in: LogIn
) -> None:
    key = "user.of-somebody-else-0123456789abcdef"
    owner = replace(LOGIN, username="owner", secret_hash=hash_secret(key, PEPPER))
    directory.logins["owner"] = owner
    proof = Credentials(*key.split("."))
    results = [await authenticator.authenticate(proof, HERE, key=key)]
    for _ in range(10):
        assert await log_in("guess") is Denial.WRONG
    assert await log_in("guess") is Denial.TOO_MANY_GUESSES
    results.append(await authenticator.authenticate(proof, HERE, key=key))
    assert results == [LoggedIn(owner, owner.secret_hash)] * 2


async def test_whose_a_key_is_is_remembered_as_long_as_a_login(
    authenticator: Authenticator, directory: RememberingDirectory, clock: Clock
) -> None:
    key = "nobody.brought-along-0123456789abcdef"
    owner = replace(LOGIN, username="owner", secret_hash=hash_secret(key, PEPPER))
    directory.logins = {"owner": owner}
    proof = Credentials(*key.split("."))
    known = LoggedIn(owner, owner.secret_hash)
    assert await authenticator.authenticate(proof, HERE, key=key) == known
    directory.logins.clear()
    assert await authenticator.authenticate(proof, HERE, key=key) == known
    clock.now = 31
    assert await authenticator.authenticate(proof, HERE, key=key) == Denied(Denial.WRONG)


async def test_X03_networks_may_be_exempt(log_in: LogIn) -> None:
    for _ in range(150):
        assert await log_in("wrong", client="10.1.2.3") is Denial.WRONG
    assert await log_in(client="10.1.2.3") == LOGIN


async def test_a_refusal_says_when_to_try_again(authenticator: Authenticator, clock: Clock) -> None:
    for _ in range(10):
        await authenticator.authenticate(BAD, HERE)
        clock.now += 1
    denied = await authenticator.authenticate(BAD, HERE)
    assert denied == Denied(Denial.TOO_MANY_GUESSES, seconds=590)


async def test_memory_of_logins_and_guesses_is_bounded(
    authenticator: Authenticator, directory: RememberingDirectory, log_in: LogIn
) -> None:
    for i in range(10_050):
        name = f"user{i}"
        directory.logins[name] = replace(LOGIN, username=name)
        await log_in(username=name)
        await log_in("wrong", client=f"10.0.{i // 256}.{i % 256}", username=f"{i}")
    for i in range(100):
        await log_in(client=f"10.2.0.{i}")
    limits = authenticator._limits
    assert len(authenticator._remembered) == 10_000
    assert len(limits._of_address._entries) == 10_000
    assert len(limits._of_user._entries) == len(limits._of_user_at_address._entries) == 10_000
    assert len(limits._places) == 10_000
    assert len(limits._places["user"]) == 16


@pytest.mark.parametrize(
    ("elapsed", "expected"), [(0.0, 0.5), (0.001, 0.499), (0.3, 0.2), (0.5, 0.5), (1.7, 0.3)]
)
def test_X03_a_failure_is_answered_at_the_next_half_second(elapsed: float, expected: float) -> None:
    """Whatever it took to find out: an unknown user, a wrong secret, a check by scrypt."""
    assert seconds_until_answer(elapsed, 0.5) == pytest.approx(expected)
    assert seconds_until_answer(elapsed, 0.0) == 0.0


# Secrets that are kept by scrypt.


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was compared by scrypt."""
    seen = []

    def compare(keyed: bytes, stored: bytes) -> bool:
        seen.append(keyed)
        return slow_matches(keyed, stored)

    monkeypatch.setattr(slow_checks, "slow_matches", compare)
    return seen


async def test_X03_a_secret_that_people_chose_is_checked_by_scrypt_and_remembered(
    directory: RememberingDirectory, clock: Clock, log_in: LogIn, checked: list[bytes]
) -> None:
    directory.logins["user"] = SLOW
    for _ in range(3):
        assert await log_in(WEAK) == SLOW
    assert len(checked) == 1
    assert await log_in("Sommer2025!") is Denial.WRONG
    clock.now = 31
    assert await log_in(WEAK) == SLOW
    assert len(checked) == 3


async def test_X03_the_secret_before_may_be_one_that_people_chose(
    directory: RememberingDirectory, log_in: LogIn
) -> None:
    both = replace(LOGIN, previous_hash=SLOW.secret_hash)
    directory.logins["user"] = both
    assert await log_in(WEAK) == both
    assert await log_in() == both


async def test_clients_that_give_the_same_secret_at_one_time_have_one_check(
    directory: RememberingDirectory, log_in: LogIn, checked: list[bytes]
) -> None:
    directory.logins["user"] = SLOW
    results = await asyncio.gather(*(log_in(WEAK) for _ in range(50)))
    assert results == [SLOW] * 50
    assert len(checked) == 1


class Stuck:
    """Checks that wait until they are told to go on."""

    def __init__(self) -> None:
        self.open = Event()
        self.begun = 0

    def __call__(self, *_: bytes) -> bool:
        """As slow_matches promises, but never."""
        self.begun += 1
        assert self.open.wait(on_this_machine(30))
        return False


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Stuck:
    found = Stuck()
    monkeypatch.setattr(slow_checks, "slow_matches", found)
    return found


async def test_X03_a_flood_of_logins_is_bounded_and_delays_no_known_client(
    directory: RememberingDirectory, log_in: LogIn, stuck: Stuck, authenticator: Authenticator
) -> None:
    """One check at a time for clients from elsewhere; who comes above 64 is told to come again.

    So is who would have been told at once that its secret is wrong: or else it could be seen
    which users have a secret that people chose.
    """
    names = [f"user{i}" for i in range(20)]
    directory.logins |= {name: replace(SLOW, username=name) for name in names}
    waiting = [
        asyncio.create_task(log_in(f"guess {i} {name}", client=f"203.0.113.{i}", username=name))
        for i in range(4)
        for name in names[:16]
    ]
    await until(lambda: stuck.begun == 1)
    await until(lambda: len(authenticator._checks._lines[False]._checks) == 64)
    for name in ("user19", "user", "nobody"):
        busy = await authenticator.authenticate(Credentials(name, "guess"), THERE)
        assert busy == Denied(Denial.TOO_MANY_CHECKS, seconds=10)
    assert await log_in(client=THERE) == LOGIN
    assert not authenticator._limits.seconds_shut(THERE, "user19")

    directory.logins["user"] = SLOW
    authenticator._remembered.clear()
    known = asyncio.create_task(log_in(WEAK, client=THERE))  # by the login before
    await until(lambda: stuck.begun == 2)
    stuck.open.set()
    assert await known is Denial.WRONG
    assert await asyncio.gather(*waiting) == [Denial.WRONG] * 64


async def test_no_user_fills_the_line_of_checks(
    directory: RememberingDirectory, log_in: LogIn, stuck: Stuck
) -> None:
    directory.logins["user"] = SLOW
    waiting = [asyncio.create_task(log_in(f"guess {i}")) for i in range(6)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result() for task in done} == {Denial.TOO_MANY_CHECKS}
    stuck.open.set()
    results = await asyncio.gather(*waiting)
    assert sorted(map(str, results)) == sorted(
        map(str, [Denial.TOO_MANY_CHECKS] * 2 + [Denial.WRONG] * 4)
    )


@pytest.mark.parametrize("username", ["weak", "user", "nobody"])
async def test_X03_guesses_at_one_time_do_not_tell_who_is_there(
    directory: RememberingDirectory, log_in: LogIn, stuck: Stuck, username: str
) -> None:
    """Of whom the fifth one is told to come again: so it is with each."""
    directory.logins |= {name: replace(SLOW, username=name) for name in ("other", "weak")}
    other = asyncio.create_task(log_in("its own", username="other"))
    await until(lambda: stuck.begun == 1)
    secrets = ["guess", *(f"guess {i}" for i in range(5)), "guess"]
    waiting = [asyncio.create_task(log_in(secret, username=username)) for secret in secrets]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    stuck.open.set()
    results = await asyncio.gather(*waiting)
    wrong, busy = Denial.WRONG, Denial.TOO_MANY_CHECKS
    assert results == [wrong, wrong, wrong, wrong, busy, busy, wrong]
    assert await other is Denial.WRONG


async def test_a_wrong_login_waits_as_long_as_a_check_would(
    directory: RememberingDirectory, log_in: LogIn, stuck: Stuck
) -> None:
    """Whether the user is unknown, or has a secret that needs no scrypt."""
    directory.logins["weak"] = replace(SLOW, username="weak")
    first = asyncio.create_task(log_in("guess", username="weak"))
    await until(lambda: stuck.begun == 1)
    others = [
        asyncio.create_task(log_in("guess", username=name)) for name in ("user", "nobody", "\0")
    ]
    finished, _ = await asyncio.wait(others, timeout=0.05)
    assert not finished
    stuck.open.set()
    assert await asyncio.gather(first, *others) == [Denial.WRONG] * 4


async def test_a_check_that_nobody_waits_for_is_not_made(
    directory: RememberingDirectory, log_in: LogIn, stuck: Stuck, authenticator: Authenticator
) -> None:
    directory.logins["user"] = SLOW
    waiting = [asyncio.create_task(log_in(f"guess {i}")) for i in range(3)]
    checks = authenticator._checks._lines[False]._checks
    await until(lambda: len(checks) == 3 and stuck.begun == 1)
    for task in waiting[1:]:
        task.cancel()
    await until(lambda: len(checks) == 1)
    stuck.open.set()
    assert await waiting[0] is Denial.WRONG
    assert stuck.begun == 1


async def test_a_check_that_was_given_up_is_made_for_who_asks_again(
    directory: RememberingDirectory, log_in: LogIn, stuck: Stuck, authenticator: Authenticator
) -> None:
    directory.logins["user"] = SLOW
    first = asyncio.create_task(log_in("first"))
    gone = asyncio.create_task(log_in("again"))
    checks = authenticator._checks._lines[False]._checks
    await until(lambda: len(checks) == 2)
    (check,) = [each for each in checks.values() if not each.done.done()][1:]
    again = asyncio.create_task(log_in("again"))
    check.done.cancel()  # and nobody has noticed when it asks
    stuck.open.set()
    assert {Denial.WRONG} == set(await asyncio.gather(first, again))
    await asyncio.wait([gone])
    assert gone.cancelled()
    await until(lambda: not checks)


# Other mechanisms.


async def test_the_salt_of_a_user_is_asked_for_each_time(
    authenticator: Authenticator, directory: RememberingDirectory, log_in: LogIn
) -> None:
    """So that the time of the challenge does not tell who has logged in lately."""
    keys = ScramKeys.of(SECRET, b"s" * SALT_OCTETS)
    directory.logins["user"] = replace(LOGIN, scram=bytes(keys))
    await log_in()
    asked = len(directory.asked)
    assert await authenticator.scram_keys("user") == keys
    await authenticator.scram_keys("nobody")
    assert len(directory.asked) == asked + 2


async def test_users_that_are_not_there_have_iterations_of_either_kind(
    authenticator: Authenticator,
) -> None:
    """So that a user whose secret people chose does not stand out."""
    found = {(await authenticator.scram_keys(f"nobody{i}")).iterations for i in range(50)}
    assert found == {4_096, 600_000}


@pytest.mark.parametrize(
    ("proof", "advice"),
    [
        (CramResponse("user", b"x", "0" * 32), "credential reset user --sealed"),
        (ScramProof("user", b"x", bytes(32)), "credential reset user"),
    ],
)
async def test_X03_what_to_do_about_a_mechanism_that_cannot_work_is_known(
    authenticator: Authenticator, proof: CramResponse | ScramProof, advice: str
) -> None:
    denied = await authenticator.authenticate(proof, HERE)
    assert isinstance(denied, Denied)
    assert advice in denied.advice
    nobody = await authenticator.authenticate(proof._replace(username="nobody"), HERE)
    assert nobody == Denied(Denial.WRONG)


@pytest.mark.parametrize("username", ["u" * 256, "us\ner", "us\0er"])
async def test_names_that_no_user_has_are_not_looked_up(
    authenticator: Authenticator, directory: RememberingDirectory, username: str, log_in: LogIn
) -> None:
    assert await log_in(username=username) is Denial.WRONG
    await authenticator.scram_keys(username)
    assert directory.asked == []


@pytest.mark.parametrize("given", ["Stra\u00dfe\u00a04711", "Stra\u00df\u00ade 4711"])
async def test_X03_a_secret_counts_in_each_form_that_is_the_same_by_saslprep(
    directory: RememberingDirectory, log_in: LogIn, given: str
) -> None:
    stored = keyed_hash("Stra\u00dfe 4711", PEPPER)
    directory.logins["user"] = replace(LOGIN, secret_hash=stored)
    assert isinstance(await log_in(given), Login)
