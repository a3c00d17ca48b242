"""Whose a domain is, is asked once in half a minute and in limited time."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from ingest.domain_owners import DomainOwners
from posthouse.store import StoreUnavailable

SHOP, OTHER = UUID(int=1), UUID(int=2)


@dataclass
class RememberingRegister:
    """Says that the domains of bank.example are another account's, and what it was asked."""

    asked: list[tuple[UUID, list[str]]] = field(default_factory=list)
    answers: bool = True
    now: float = 1000.0

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """As DomainRegister promises."""
        self.asked.append((account_id, sorted(domains)))
        if not self.answers:
            await asyncio.sleep(60)
        return frozenset(domain for domain in domains if domain.endswith("bank.example"))


async def test_a_domain_is_asked_for_once_in_half_a_minute() -> None:
    register = RememberingRegister()
    owners = DomainOwners(register, lambda: register.now, 5)
    assert {"bank.example"} == await owners.owned_elsewhere(SHOP, {"a.example", "bank.example"})
    assert {"bank.example"} == await owners.owned_elsewhere(SHOP, ("bank.example", "a.example"))
    assert frozenset() == await owners.owned_elsewhere(SHOP, ())
    assert {"bank.example", "b.bank.example"} == await owners.owned_elsewhere(
        SHOP, ("bank.example", "b.bank.example")
    )
    await owners.owned_elsewhere(OTHER, ["a.example"])
    assert [
        (SHOP, ["a.example", "bank.example"]),
        (SHOP, ["b.bank.example"]),
        (OTHER, ["a.example"]),
    ] == register.asked
    register.now += 31
    await owners.owned_elsewhere(SHOP, ["a.example"])
    assert (SHOP, ["a.example"]) == register.asked[-1]


async def test_no_answer_is_no_permission() -> None:
    """And it is not remembered."""
    register = RememberingRegister(answers=False)
    owners = DomainOwners(register, lambda: register.now, 0.01)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no answer about a domain in time"):
            await owners.owned_elsewhere(SHOP, ["a.example"])
    assert 2 == len(register.asked)


async def test_what_is_remembered_has_a_limit() -> None:
    register = RememberingRegister()
    owners = DomainOwners(register, lambda: register.now, 5)
    await owners.owned_elsewhere(SHOP, ["first.example"])
    for n in range(10):
        await owners.owned_elsewhere(
            SHOP, [f"{m}.example" for m in range(n * 1000, n * 1000 + 1000)]
        )
    await owners.owned_elsewhere(SHOP, ["9999.example"])
    assert 11 == len(register.asked)
    await owners.owned_elsewhere(SHOP, ["first.example"])
    assert 12 == len(register.asked)
