"""One question of each kind for a batch; domains and their keys are kept for some seconds."""
# ruff: noqa: D102 -- the fakes' methods are those of the ports, and promise the same

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest

from policy.core.facts import DomainKeys, Facts, Relay, SigningUnavailable
from policy.core.request import Request, read
from policy.gathering import Gatherer
from posthouse.mail.dkim_key import Algorithm
from posthouse.mail.secret import seal
from posthouse.mail.submission import Attributes
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.profiles import resolve
from posthouse.running.keys import generate
from posthouse.store import StoreUnavailable
from posthouse.store.accounts import ProfileKey, SealedKey, SendingDomain
from posthouse.store.logins import AccountProfile
from posthouse.tracking.list_frame import ListFrame
from servers.stores import a_submission

ONE, OTHER, CREDENTIAL = UUID(int=1), UUID(int=2), UUID(int=3)
KEY = b"s" * 32
KEYS = tuple(
    SealedKey(name, algorithm, seal(generate(algorithm), KEY, b"n" * 12))
    for name, algorithm in (("r", Algorithm.RSA), ("e", Algorithm.ED25519))
)
SENDER = SendingDomain("sender.example", "b.example", KEYS)
RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)
BOUNCED = (Suppression(SuppressionList.BOUNCE, ""),)


@dataclass
class Store:
    """Both ports; knows domains, profiles and suppressions, and what it was asked."""

    domains: dict[tuple[UUID, str], SendingDomain] = field(default_factory=dict)
    own: dict[ProfileKey, AccountProfile] = field(default_factory=dict)
    suppressed: set[tuple[UUID, str]] = field(default_factory=set)
    asked: list[tuple[str, set[Any]]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    away: bool = False

    async def _asked(self, question: str, wanted: Collection[Any]) -> None:
        self.asked.append((question, set(wanted)))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await asyncio.sleep(0)
        self.running -= 1
        if self.away:
            raise StoreUnavailable("away")

    async def find_sending_domains(self, wanted: Collection[Any]) -> dict[Any, SendingDomain]:
        await self._asked("domains", wanted)
        return {one: self.domains[one] for one in wanted if one in self.domains}

    async def confirmed(self, wanted: Collection[Any]) -> Collection[Any]:
        await self._asked("confirmed", wanted)
        return [one for one in wanted if one[1].startswith("ann@")]

    async def list_frames(self, wanted: Collection[Any]) -> dict[Any, ListFrame]:
        await self._asked("frames", wanted)
        return {one: ListFrame(footer_text=one[1]) for one in wanted}

    async def profiles(self, wanted: Collection[Any]) -> dict[Any, AccountProfile]:
        await self._asked("profiles", wanted)
        return {one: self.own[one] for one in wanted if one in self.own}

    async def find(self, wanted: Collection[Any]) -> dict[Any, tuple[Suppression, ...]]:
        await self._asked("suppressions", wanted)
        return {one: BOUNCED for one in wanted if one in self.suppressed}


@dataclass
class Clock:
    """Time that passes when the test says so."""

    now: float = 100.0

    def __call__(self) -> float:
        """What a monotonic clock would say."""
        return self.now


def gatherer(store: Store, clock: Clock | None = None) -> Gatherer:
    return Gatherer(store, store, RELAY, KEY, clock or Clock(), confirmations=store, streams=store)


def request(account: UUID = ONE, domain: str = "sender.example", **changes: Any) -> Request:
    header = f"From: a@{domain}\r\n\r\n".encode()
    submission = a_submission(
        account_id=account, sender="bounce@sender.example", header=header, **changes
    )
    return read(submission, resolve("native"))


async def facts_for(some: Gatherer) -> Facts:
    (facts,) = await some.facts([request()])
    return facts


async def test_a_batch_asks_one_question_of_each_kind_at_the_same_time() -> None:
    store = Store({(ONE, "sender.example"): SENDER}, suppressed={(OTHER, "ann@dest.example")})
    batch = [request(ONE), request(ONE, "x.example"), request(OTHER), request(ONE)]

    facts = await gatherer(store).facts(batch)

    names = ("ann@dest.example", "bob@dest.example")
    domains = {(ONE, "sender.example"), (ONE, "x.example"), (OTHER, "sender.example")}
    assert sorted(store.asked) == [
        ("domains", domains),
        ("suppressions", {(a, n) for a in (ONE, OTHER) for n in names}),
    ]
    assert store.most_running == 2
    assert [set(f.domains) for f in facts] == [{"sender.example"}, {"sender.example"}, set(),
                                               {"sender.example"}]  # fmt: skip
    assert [f.suppressions for f in facts] == [{}, {}, {"ann@dest.example": BOUNCED}, {}]


async def test_keys_come_loaded_and_the_domain_is_kept_for_some_seconds() -> None:
    store, clock = Store({(ONE, "sender.example"): SENDER}), Clock()
    some = gatherer(store, clock)

    first = (await facts_for(some)).domains["sender.example"]
    again = (await facts_for(some)).domains["sender.example"]

    assert isinstance(first, DomainKeys)
    assert first.return_path_host == "b.example"
    assert [key.selector for key in first.keys] == ["r", "e"]
    assert again is first
    assert [question for question, _ in store.asked].count("domains") == 1

    clock.now += 10
    await facts_for(some)
    assert [question for question, _ in store.asked].count("domains") == 2


async def test_a_row_that_did_not_change_is_not_unsealed_again() -> None:
    """One that did is, and one that is gone is forgotten."""
    store, clock = Store({(ONE, "sender.example"): SENDER}), Clock()
    some = gatherer(store, clock)
    before = (await facts_for(some)).domains["sender.example"]

    store.domains = {(ONE, "sender.example"): replace(SENDER)}
    clock.now += 10
    assert (await facts_for(some)).domains["sender.example"] is before

    store.domains = {(ONE, "sender.example"): replace(SENDER, keys=KEYS[:1])}
    clock.now += 10
    rotated = (await facts_for(some)).domains["sender.example"]
    assert isinstance(rotated, DomainKeys)
    assert [key.selector for key in rotated.keys] == ["r"]

    store.domains = {}
    clock.now += 10
    assert not (await facts_for(some)).domains


async def test_a_domain_belongs_to_one_account_and_strangers_are_kept_too() -> None:
    store = Store({(ONE, "sender.example"): SendingDomain("sender.example", None, ())})
    some = gatherer(store)

    for _ in range(2):
        mine, other = await some.facts([request(ONE), request(OTHER)])

    assert mine.domains == {"sender.example": DomainKeys("sender.example", None, ())}
    assert other.domains == {}
    assert [question for question, _ in store.asked].count("domains") == 1


async def test_one_key_that_cannot_be_opened_makes_the_domain_unavailable() -> None:
    foreign = SealedKey("x", "rsa-sha256", seal(b"", b"o" * 32, b"n" * 12))
    store = Store({(ONE, "sender.example"): replace(SENDER, keys=(*KEYS, foreign))})

    unavailable = (await facts_for(gatherer(store))).domains["sender.example"]

    assert isinstance(unavailable, SigningUnavailable)
    assert "a DKIM key of sender.example cannot be opened" in unavailable.reason


async def test_a_store_that_is_away_is_said_to_be() -> None:
    with pytest.raises(StoreUnavailable):
        await facts_for(gatherer(Store(away=True)))


async def test_a_preset_is_known_without_a_question() -> None:
    store = Store()

    assert [resolve("native")] * 2 == await gatherer(store).profiles([a_submission()] * 2)
    assert store.asked == []


async def test_the_profile_of_an_account_is_its_preset_with_its_knobs() -> None:
    """Asked for once: a revision never changes. The credential's, also in mail for a child."""
    own = AccountProfile(ONE, "shop", 3, "native", 1, {"tags.max_count": 3})
    store = Store(own={(CREDENTIAL, "shop", 3): own})
    some = gatherer(store)
    mine = a_submission(
        account_id=OTHER, credential_id=CREDENTIAL, profile="shop", profile_revision=3
    )

    for _ in range(2):
        first, second = await some.profiles([mine, mine])

    assert first == second == resolve("native", 1, {"tags.max_count": 3})
    assert store.asked == [("profiles", {(CREDENTIAL, "shop", 3)})]


@pytest.mark.parametrize(
    "own",
    [
        AccountProfile(ONE, "shop", 3, "of a newer version", 1, {}),
        AccountProfile(ONE, "shop", 3, "native", 99, {}),
        AccountProfile(ONE, "shop", 3, "native", 1, {"knob.of_a_newer_version": True}),
        AccountProfile(OTHER, "shop", 3, "native", 1, {}),
    ],
    ids=["preset", "revision of the preset", "knob", "of another account"],
)
async def test_what_only_a_newer_version_can_know_is_unknown(own: AccountProfile) -> None:
    credential = CREDENTIAL if own.account_id == ONE else OTHER
    store = Store(own={(credential, own.name, own.revision): own})
    ours = a_submission(credential_id=CREDENTIAL, profile="shop", profile_revision=3)
    later = [ours, a_submission(profile_revision=99)]

    assert [None, None] == await gatherer(store).profiles(later)


async def test_who_is_confirmed_is_asked_only_for_what_is_sandboxed() -> None:
    """And only where the profile delivers it."""
    store = Store({})
    knobs = {"sandbox.deliver_to_confirmed": True}
    sent = request(ONE, "sandbox.example", attributes=Attributes(sandboxed=True))
    delivers = replace(sent, profile=resolve("native", None, knobs))
    kept, given, plain = await gatherer(store).facts([sent, delivers, request(ONE)])
    names = {(ONE, "ann@dest.example"), (ONE, "bob@dest.example")}
    assert ("confirmed", names) in store.asked
    assert [[], ["ann@dest.example"], []] == [list(f.confirmed) for f in (kept, given, plain)]

    store.asked.clear()
    await gatherer(store).facts([sent, request(ONE)])
    assert "confirmed" not in dict(store.asked)


async def test_U19_lists_are_asked_about_only_where_a_message_is_to_have_their_frame() -> None:
    store = Store()
    some = gatherer(store)
    await some.facts([request()])
    assert "frames" not in [question for question, _ in store.asked]
    asked = request(attributes=Attributes(stream="news", flags={"list_footer": True}))
    (plain, framed) = await some.facts([request(), asked])
    assert (None, ListFrame(footer_text="news")) == (plain.frame, framed.frame)
