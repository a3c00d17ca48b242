"""Batches through the service: what is committed, what comes again, what is quarantined."""
# ruff: noqa: D102 -- the fake's methods are those of the ports, and promise the same

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from policy.core import decision
from policy.core.draft import Draft, Rejection
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.steps import steps_for
from policy.gathering import Gatherer
from policy.preparing import Preparer
from policy.service import ClaimPace, PolicyService, is_suspect
from policy.signing import OneByOne
from policy.verifying import SampleVerifier
from posthouse.mail.lane import Lane
from posthouse.mail.secret import seal
from posthouse.mail.submission import Submission
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.accounts import SealedKey, SendingDomain
from posthouse.store.logins import AccountProfile
from posthouse.store.submissions import ClaimedSubmission, ClaimedSubmissions, Prepared
from servers.patience import on_this_machine, until
from servers.rsa_keys import rsa_key
from servers.stores import a_submission

ACCOUNT = UUID(int=1)
SEALING_KEY = b"s" * 32
RSA = rsa_key()
RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)


def submission(**changes: Any) -> Submission:
    plain = {
        "sender": "news@sender.example",
        "recipients": ("a@there.example",),
        "header": b"From: news@sender.example\r\n\r\n",
        "body": b"Hello\r\n",
    }
    return a_submission(**(plain | changes))


@dataclass
class Store:
    """A store in memory that remembers what it was told; `away` counts the answers that fail."""

    due: list[ClaimedSubmission] = field(default_factory=list)
    prepared: list[Prepared] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    quarantined: dict[UUID, str] = field(default_factory=dict)
    questions: Counter[str] = field(default_factory=Counter)
    away: Counter[str] = field(default_factory=Counter)
    indigestible: set[UUID] = field(default_factory=set)
    domain: SendingDomain | None = None
    suppressed: frozenset[str] = frozenset()
    returned: list[ClaimedSubmission] = field(default_factory=list)

    def add(self, *some: Submission, claims: int = 1) -> None:
        self.due += [ClaimedSubmission(s, claims) for s in some]

    def _asked(self, question: str) -> None:
        self.questions[question] += 1
        if self.away[question]:
            self.away[question] -= 1
            raise StoreUnavailable(f"{question} is away")

    async def claim(self, limit: int, *, lowest: Lane, suspects: bool) -> ClaimedSubmissions:
        self._asked("claim")
        due = [c for c in self.due if c.submission.lane <= lowest]
        left = [c for c in due if is_suspect(c.claims)][suspects:]
        batch = [c for c in due if c not in left][:limit]
        self.due = [c for c in self.due if c not in batch]
        return ClaimedSubmissions(tuple(batch), more=len(due) > len(batch) > 0)

    async def prepare(self, prepared: Sequence[Prepared]) -> Mapping[Lane, int]:
        self._asked("prepare")
        if any(p.claimed.submission.id in self.indigestible for p in prepared):
            raise StoreRefused("cannot be stored")
        self.batches.append(len(prepared))
        self.prepared += prepared
        return Counter(d.lane for p in prepared for d in p.deliveries)

    async def quarantine(self, claimed: ClaimedSubmission, reason: str) -> None:
        self._asked("quarantine")
        self.quarantined[claimed.submission.id] = reason

    async def return_leases(self, claimed: Sequence[ClaimedSubmission], delay: timedelta) -> None:
        self._asked("return_leases")
        assert delay > timedelta()
        self.returned += claimed

    async def find_sending_domains(self, wanted: Collection[Any]) -> dict[Any, SendingDomain]:
        self._asked("find_sending_domains")
        own = (ACCOUNT, "sender.example")
        return {own: self.domain} if self.domain and own in wanted else {}

    async def profiles(self, wanted: Collection[Any]) -> dict[Any, AccountProfile]:
        self._asked("profiles")
        assert wanted
        return {}

    async def confirmed(self, wanted: Collection[Any]) -> Collection[Any]:
        self._asked("confirmed")
        return wanted

    async def list_frames(self, wanted: Collection[Any]) -> dict[Any, Any]:
        self._asked("list_frames")
        return dict.fromkeys(wanted)

    async def find(self, wanted: Collection[Any]) -> dict[Any, tuple[Suppression, ...]]:
        self._asked("find_suppressed")
        entry = Suppression(SuppressionList.BOUNCE, "")
        return {(id_, a): (entry,) for id_, a in wanted if a in self.suppressed}

    @property
    def ids(self) -> set[UUID]:
        return {p.claimed.submission.id for p in self.prepared}


@dataclass
class Running:
    """A service at work, and what came of it."""

    store: Store
    service: PolicyService
    stopping: asyncio.Event
    announced: Counter[Lane]


@asynccontextmanager
async def running(store: Store, *, batch: int = 64, poll: float = 0.01) -> Any:
    """The service at work; told to stop at the end, and waited for."""
    announced: Counter[Lane] = Counter()
    service = PolicyService(
        store,
        Gatherer(
            store,
            store,
            RELAY,
            SEALING_KEY,
            asyncio.get_running_loop().time,
            confirmations=store,
            streams=store,
        ),
        Preparer(OneByOne(), SampleVerifier(one_in=1)),
        announce=lambda lane: announced.update([lane]),
        pace=ClaimPace(batch=batch, poll_seconds=poll, suspect_seconds=0),
    )
    stopping = asyncio.Event()
    async with asyncio.timeout(on_this_machine(20)), asyncio.TaskGroup() as group:
        group.create_task(service.run(stopping))
        yield Running(store, service, stopping, announced)
        stopping.set()


def sealed(pkcs8: bytes = RSA, key: bytes = SEALING_KEY) -> SendingDomain:
    return SendingDomain(
        "sender.example",
        None,
        (SealedKey("s1", "rsa-sha256", seal(pkcs8, key, b"n" * 12)),),
    )


async def test_a_batch_is_prepared_in_one_commit_and_then_announced() -> None:
    store = Store(domain=sealed())
    store.add(submission(recipients=("a@x.example", "b@x.example")), submission())

    async with running(store) as run:
        await until(lambda: len(store.prepared) == 2)
        await until(lambda: run.announced == {Lane.NORMAL: 1})

    assert store.batches == [2]
    assert store.questions["find_sending_domains"] == store.questions["find_suppressed"] == 1
    assert all(b"DKIM-Signature:" in p.renditions[0].header for p in store.prepared)


async def test_suppressed_recipients_are_left_out() -> None:
    store = Store(suppressed=frozenset({"dead@x.example"}))
    store.add(
        submission(recipients=("dead@x.example", "a@x.example")),
        submission(recipients=("dead@x.example",)),
    )

    async with running(store):
        await until(lambda: len(store.prepared) == 2)

    first, second = store.prepared
    assert [d.recipient for d in first.deliveries] == ["a@x.example"]
    assert first.suppressed == second.suppressed
    assert [r.address for r in first.suppressed] == ["dead@x.example"]
    assert (second.deliveries, second.renditions) == ((), ())


def rejecting(draft: Draft, facts: Facts) -> Draft | Rejection:
    """A step: fails for one subject, rejects another."""
    del facts
    subject = draft.request.header.first("Subject")
    if subject == "fail":
        raise RuntimeError("a mistake of ours")
    return Rejection("550 5.6.0 no such mailing") if subject == "reject" else draft


@pytest.fixture
def with_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile has the step `rejecting`."""
    monkeypatch.setattr(decision, "steps_for", lambda p: (rejecting, *steps_for(p)))


def subject(text: str) -> Submission:
    return submission(header=f"From: news@sender.example\r\nSubject: {text}\r\n\r\n".encode())


@pytest.mark.usefixtures("with_a_step")
async def test_a_message_that_fails_does_not_hold_up_its_batch() -> None:
    """It is left to come due again, and nothing is written about it."""
    bad, good = subject("fail"), submission()
    store = Store()
    store.add(bad, good)

    async with running(store):
        await until(lambda: good.id in store.ids)

    assert store.ids == {good.id}
    assert store.quarantined == {}


@pytest.mark.usefixtures("with_a_step")
async def test_after_five_claims_a_failing_message_is_quarantined_with_the_reason() -> None:
    bad = subject("fail")
    store = Store()
    store.add(bad, claims=5)

    async with running(store):
        await until(lambda: bad.id in store.quarantined)

    assert store.quarantined[bad.id] == "RuntimeError: a mistake of ours"


def left() -> float:
    """How many submissions were left to newer workers so far."""
    name = "posthouse_policy_messages_total"
    return REGISTRY.get_sample_value(name, {"outcome": "left"}) or 0.0


@pytest.mark.parametrize("claims", [1, 5, 6, 100])
@pytest.mark.parametrize("later", [{"profile": "later"}, {"profile_revision": 2}])
async def test_a_profile_of_a_newer_version_is_left_for_a_newer_worker(
    claims: int, later: dict[str, Any]
) -> None:
    """However often it was claimed; others of its batch go on, and it is logged once."""
    before = left()
    unknown, good = [submission(**later) for _ in range(3)], submission()
    store = Store()

    with capture_logs() as logged:
        async with running(store):
            for one in unknown:
                store.add(one, claims=claims)
            store.add(good)
            await until(lambda: good.id in store.ids)
            await until(lambda: len(store.returned) == 3)

    assert {c.submission.id for c in store.returned} == {s.id for s in unknown}
    assert store.ids == {good.id}
    assert store.quarantined == {}
    assert left() - before == 3
    assert [line["event"] for line in logged].count("profile_unknown") == 1


async def test_a_message_that_took_five_processes_with_it_is_not_touched_again() -> None:
    deadly = submission()
    store = Store()
    store.add(deadly, claims=6)

    async with running(store):
        await until(lambda: deadly.id in store.quarantined)

    assert store.prepared == []


async def test_what_may_end_the_process_is_prepared_with_nothing_else_in_hand() -> None:
    """One by one, after those that came with it: they are not to share its fate."""
    fresh, doubtful = [submission() for _ in range(3)], [submission() for _ in range(2)]
    store = Store()
    store.add(*doubtful, claims=3)
    store.add(*fresh)

    async with running(store):
        await until(lambda: len(store.prepared) == 5)

    assert store.batches == [3, 1, 1]
    assert [p.claimed.submission for p in store.prepared[3:]] == doubtful


@pytest.mark.usefixtures("with_a_step")
async def test_a_rejected_message_is_quarantined_at_once() -> None:
    rejected = subject("reject")
    store = Store()
    store.add(rejected)

    async with running(store):
        await until(lambda: rejected.id in store.quarantined)

    assert store.quarantined[rejected.id] == "550 5.6.0 no such mailing"


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        (sealed(key=b"another installation's key......"), "cannot be opened"),
        (sealed(RSA[:-30]), r"s1._domainkey.sender.example cannot be read"),
    ],
)
async def test_a_broken_dkim_key_is_said_and_nothing_goes_out_unsigned(
    domain: SendingDomain, why: str
) -> None:
    waiting, worn = submission(), submission()
    store = Store(domain=domain)
    store.add(waiting)
    store.add(worn, claims=5)

    async with running(store):
        await until(lambda: worn.id in store.quarantined)

    assert why in store.quarantined[worn.id]
    assert store.prepared == []


@pytest.mark.parametrize(
    "question",
    [
        "claim",
        "profiles",
        "return_leases",
        "find_sending_domains",
        "find_suppressed",
        "prepare",
        "quarantine",
    ],
)
async def test_a_store_that_is_away_is_asked_again_until_it_answers(question: str) -> None:
    good, old = submission(), submission()
    store = Store(away=Counter({question: 2}))
    store.add(good, submission(profile="later"))
    store.add(old, claims=11)

    async with running(store):
        await until(lambda: good.id in store.ids and old.id in store.quarantined)
        await until(lambda: bool(store.returned))


async def test_what_was_handed_over_is_prepared_without_a_question() -> None:
    """Between polls an hour apart."""
    store = Store()

    async with running(store, poll=3600) as run:
        await until(lambda: store.questions["claim"] == 1)
        run.service.work.put([ClaimedSubmission(submission(), claims=1)])
        await until(lambda: bool(store.prepared))
        run.service.work.put([ClaimedSubmission(submission(), claims=1)])
        run.stopping.set()

    assert len(store.prepared) == 2
    assert store.questions["claim"] == 1


async def test_of_what_was_handed_over_the_highest_lane_goes_first() -> None:
    store = Store()
    lanes = [Lane.BULK, Lane.HIGH, Lane.BULK, Lane.VERY_HIGH, Lane.HIGH]

    async with running(store, poll=3600) as run:
        await until(lambda: store.questions["claim"] == 1)
        run.service.work.put([ClaimedSubmission(submission(lane=lane), claims=1) for lane in lanes])
        await until(lambda: len(store.prepared) == len(lanes))
        run.stopping.set()

    assert sorted(lanes) == [p.claimed.submission.lane for p in store.prepared]
    assert store.batches == [1, 2, 2]


async def test_what_the_store_will_never_take_does_not_hold_up_its_batch() -> None:
    bad, worn, good = submission(), submission(), submission()
    store = Store(indigestible={bad.id, worn.id})
    store.add(bad, good)
    store.add(worn, claims=5)

    async with running(store) as run:
        await until(lambda: good.id in store.ids and worn.id in store.quarantined)

    assert store.ids == {good.id}
    assert store.quarantined[worn.id] == "StoreRefused: cannot be stored"
    assert run.announced == {Lane.NORMAL: 1}


async def test_a_mistake_of_ours_costs_one_batch_and_not_the_service() -> None:
    lost, good = submission(), submission()
    store = Store()
    unforeseen: Any = None
    store.add(replace(lost, recipients=unforeseen))
    async with running(store, batch=1):
        store.add(good)
        await until(lambda: good.id in store.ids)

    assert store.ids == {good.id}


async def test_a_wake_up_is_heard_at_once() -> None:
    """Between polls an hour apart."""
    store = Store()

    async with running(store, poll=3600) as run:
        await until(lambda: store.questions["claim"] == 1)
        store.add(submission())
        run.service.work.wake(Lane.NORMAL)
        await until(lambda: bool(store.prepared))
        run.stopping.set()


async def test_an_idle_service_asks_ever_less_often() -> None:
    store = Store()
    clock = asyncio.get_running_loop().time

    async with running(store, poll=0.02):
        started = clock()
        await until(lambda: store.questions["claim"] >= 6)

    assert clock() - started > 0.02 + 0.04 + 0.08 + 0.16  # and not just five times 0.02


async def test_told_to_stop_it_finishes_the_batch_in_hand() -> None:
    store = Store(away=Counter({"find_sending_domains": 1}))
    store.add(*(submission() for _ in range(30)))

    async with running(store, batch=30) as run:
        await until(lambda: bool(store.questions["claim"]))
        run.stopping.set()

    assert len(store.prepared) + len(store.due) in {0, 30}


async def test_told_to_stop_while_the_store_is_away_it_leaves_the_batch_to_its_lease() -> None:
    store = Store(away=Counter({"find_sending_domains": 10_000}))
    store.add(submission())

    async with running(store):
        await until(lambda: bool(store.questions["find_sending_domains"]))

    assert store.prepared == []


async def test_many_batches_are_prepared_each_message_once() -> None:
    store = Store(domain=sealed())
    some = [submission() for _ in range(300)]
    store.add(*some)

    async with running(store):
        await until(lambda: len(store.prepared) >= 300)

    assert Counter(s.id for s in some) == Counter(p.claimed.submission.id for p in store.prepared)
