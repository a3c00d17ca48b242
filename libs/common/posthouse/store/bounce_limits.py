"""How many failures put an address on the bounce list: the profile of the mail says."""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.address_failure import NEVER_LISTED, AddressFailure, BounceLimits
from posthouse.mail.submission import Delivery
from posthouse.profiles import InvalidOverride, UnknownProfile, resolve

Fetch: TypeAlias = Callable[[str, list[UUID]], Awaitable[list[Any]]]
"""Runs a statement by its name, over whatever connection its caller has."""


async def failure_rows(
    fetch: Fetch, failures: Collection[tuple[Delivery, AddressFailure]]
) -> dict[UUID, tuple[Any, ...]]:
    """A failure_row_1 for each delivery, by its id; asks nothing when there are no *failures*.

    The limits are those of NEVER_LISTED where this program does not know the profile.
    """
    if not failures:
        return {}
    found = await fetch(
        "find_submission_profiles", list({delivery.submission_id for delivery, _ in failures})
    )
    limits = {row["id"]: _limits(row) for row in found}
    return {
        delivery.id: _row(
            failure, delivery.recipient, limits.get(delivery.submission_id, NEVER_LISTED)
        )
        for delivery, failure in failures
    }


def _row(failure: AddressFailure, address: str, limits: BounceLimits) -> tuple[Any, ...]:
    return (
        address, normal_form(address), failure.kind, failure.rule, failure.rules,
        failure.as_json(), limits.hard, limits.soft, limits.counted, limits.soft_stay,
    )  # fmt: skip


def _limits(row: Any) -> BounceLimits:
    own = row["preset"] is not None
    try:
        profile = (
            resolve(row["preset"], row["preset_revision"], row["knobs"])
            if own
            else resolve(row["profile"], row["profile_revision"])
        )
    except (UnknownProfile, InvalidOverride):
        return NEVER_LISTED  # of a newer version
    knobs = profile.suppression
    return BounceLimits(
        knobs.hard_limit,
        knobs.soft_limit,
        timedelta(days=knobs.counted_days),
        timedelta(days=knobs.soft_days),
    )
