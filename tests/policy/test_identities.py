"""Sending domains are looked up once in a while, not once a message."""

from dataclasses import dataclass, field
from uuid import UUID

from policy.core.identity import Identity, Unusable
from policy.identities import Identities
from posthouse.mail.dkim_key import Algorithm
from posthouse.mail.secret import seal
from posthouse.running.keys import generate
from posthouse.store.accounts import SealedKey, SendingDomain

ONE, OTHER = UUID(int=1), UUID(int=2)
KEY = b"s" * 32
KEYS = tuple(
    SealedKey(name, algorithm, seal(generate(algorithm), KEY, b"n" * 12))
    for name, algorithm in (("r", Algorithm.RSA), ("e", Algorithm.ED25519))
)


@dataclass
class Accounts:
    """Knows one domain of one account, and what it was asked."""

    domain: SendingDomain
    asked: list[tuple[UUID, str]] = field(default_factory=list)

    async def sending_domain(self, account_id: UUID, name: str) -> SendingDomain | None:
        """The domain, for account ONE only."""
        self.asked.append((account_id, name))
        return self.domain if (account_id, name) == (ONE, self.domain.name) else None


@dataclass
class Clock:
    """Time that passes when the test says so."""

    now: float = 100.0

    def __call__(self) -> float:
        """What a monotonic clock would say."""
        return self.now


async def test_keys_come_opened_and_the_domain_is_remembered_for_some_seconds() -> None:
    accounts, clock = Accounts(SendingDomain("sender.example", "b.example", KEYS)), Clock()
    identities = Identities(accounts, KEY, clock)

    first = (await identities.find([(ONE, "sender.example")]))[ONE, "sender.example"]
    again = (await identities.find([(ONE, "sender.example")]))[ONE, "sender.example"]

    assert isinstance(first, Identity)
    assert first.return_path_host == "b.example"
    assert [key.selector for key in first.keys] == ["r", "e"]
    assert again is first
    assert len(accounts.asked) == 1

    clock.now += 10
    await identities.find([(ONE, "sender.example")])
    assert len(accounts.asked) == 2


async def test_a_domain_belongs_to_one_account_and_strangers_are_remembered_too() -> None:
    accounts = Accounts(SendingDomain("sender.example", None, ()))
    identities = Identities(accounts, KEY, Clock())
    wanted = [(ONE, "sender.example"), (OTHER, "sender.example"), (ONE, "x.example")]

    for _ in range(2):
        found = await identities.find(wanted)

    assert found[ONE, "sender.example"] == Identity("sender.example", None, ())
    assert found[OTHER, "sender.example"] is None
    assert found[ONE, "x.example"] is None
    assert accounts.asked == wanted


async def test_one_key_that_cannot_be_opened_makes_the_domain_unusable() -> None:
    foreign = SealedKey("x", "rsa-sha256", seal(b"", b"o" * 32, b"n" * 12))
    accounts = Accounts(SendingDomain("sender.example", None, (*KEYS, foreign)))

    found = await Identities(accounts, KEY, Clock()).find([(ONE, "sender.example")])

    unusable = found[ONE, "sender.example"]
    assert isinstance(unusable, Unusable)
    assert "a DKIM key of sender.example cannot be opened" in unusable.reason
