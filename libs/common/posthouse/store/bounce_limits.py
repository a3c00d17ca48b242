"""How many failures put an address on the bounce list: the profile of the mail says."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.address_failure import NEVER_LISTED, AddressFailure, BounceLimits
from posthouse.mail.submission import Delivery
from posthouse.profiles import InvalidOverride, UnknownProfile, resolve
from posthouse.store.postgres import Postgres


class FailureRows:
    """Makes the rows that count failures; asks only about mail that failed."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def of(
        self, failures: Collection[tuple[Delivery, AddressFailure]]
    ) -> dict[UUID, tuple[Any, ...]]:
        """A failure_row_1 for each delivery, by its id.

        The limits are those of NEVER_LISTED where this program does not know the profile.
        """
        if not failures:
            return {}
        ids = list({delivery.submission_id for delivery, _ in failures})
        rows = await self._database.fetch("find_submission_profiles", ids)
        limits = {row["id"]: _limits(row) for row in rows}
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
