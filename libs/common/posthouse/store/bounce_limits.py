"""How many failures put an address on the bounce list: the profile of the mail says."""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.address_failure import AddressFailure, BounceLimits
from posthouse.mail.submission import Delivery
from posthouse.store.stored_profile import profile_in

Fetch: TypeAlias = Callable[[str, list[UUID]], Awaitable[list[Any]]]
"""Runs a statement by its name, over whatever connection its caller has."""


async def failure_rows(
    fetch: Fetch, failures: Collection[tuple[Delivery, AddressFailure]]
) -> dict[UUID, tuple[Any, ...]]:
    """A failure_row_1 for each delivery, by its id; asks nothing when there are no *failures*.

    None for one that no limit counts, for an entry keeps all that count: a limit of 0, and a
    profile that this program does not know.
    """
    if not failures:
        return {}
    found = await fetch(
        "find_submission_profiles", list({delivery.submission_id for delivery, _ in failures})
    )
    limits = {row["id"]: _limits(row) for row in found}
    rows: dict[UUID, tuple[Any, ...]] = {}
    for delivery, failure in failures:
        known = limits.get(delivery.submission_id)
        if known is not None and known.counts(failure):
            rows[delivery.id] = _row(failure, delivery.recipient, known)
    return rows


def _row(failure: AddressFailure, address: str, limits: BounceLimits) -> tuple[Any, ...]:
    return (
        address, normal_form(address), failure.kind, failure.rule, failure.rules,
        failure.as_json(), limits.hard, limits.soft, limits.counted, limits.soft_stay,
    )  # fmt: skip


def _limits(row: Any) -> BounceLimits | None:
    profile = profile_in(row)
    if profile is None:
        return None
    knobs = profile.suppression
    return BounceLimits(
        knobs.hard_limit,
        knobs.soft_limit,
        timedelta(days=knobs.counted_days),
        timedelta(days=knobs.soft_days),
    )
