"""Subscriptions: recipients that unsubscribe from mail by its token, and take that back."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.events import EventKind
from posthouse.mail.submission import Attributes
from posthouse.mail.subscription import Subscription, UnsubscribeForm
from posthouse.mail.suppression_list import SuppressionList
from posthouse.profiles.suppression_scopes import scopes_to_leave
from posthouse.store.audit_log import write_audit
from posthouse.store.failure import StoreUnavailable
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.stored_profile import profile_in

# Times that one delivery's recipient may come back, so that nobody fills the history.
_MOST_RETURNS = 10
_LIST = SuppressionList.UNSUBSCRIBE.value
# What tells our entries from those of feedback reports and of the operator.
_RULES = {form: f"unsubscribe: {form}" for form in UnsubscribeForm}


class SubscriptionStore:
    """Finds and changes them; each method raises StoreUnavailable."""

    def __init__(self, database: Postgres, *, revocable: timedelta = timedelta()) -> None:
        """*revocable*: how long after it unsubscribed a recipient may take that back."""
        self._database = database
        self._revocable = revocable

    async def find(self, delivery_id: UUID) -> Subscription | None:
        """The subscription that a delivery is about; None once it is unknown or past retention."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(QUERIES["find_subscription"], delivery_id)
            if row is None:
                return None
            profile = profile_in(row)
            if profile is None:
                raise StoreUnavailable("the message has a profile of a newer version")
            entries = await connection.fetch(
                QUERIES["find_unsubscribes"], *_whose(row), delivery_id, list(_RULES.values())
            )
        moments = [entry["created_at"] for entry in entries if entry["is_own"]]
        until = max(moments) + self._revocable if moments else None
        is_open = any(entry["age"] < self._revocable for entry in entries if entry["is_own"])
        return Subscription(
            account_id=row["account_id"],
            submission_id=row["submission_id"],
            delivery_id=delivery_id,
            recipient=row["recipient"],
            author=row["author"] or row["sender"],
            author_name=row["author_name"] or "",
            scopes=scopes_to_leave(profile, Attributes.from_json(row["attributes"])),
            left=frozenset(entry["scope"] for entry in entries),
            revocable_until=until if is_open and row["returns"] < _MOST_RETURNS else None,
        )

    async def unsubscribe(
        self,
        one: Subscription,
        by: UnsubscribeForm,
        *,
        scopes: Sequence[str] | None = None,
        **evidence: str,
    ) -> bool:
        """Put the recipient on the unsubscribe list, for *scopes* in place of its own.

        Event and entries are written together; if it is there already nothing is written, and
        False is given.
        """
        detail = {"by": by.value, "rule": _RULES[by], **evidence}
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_returned"], one.delivery_id)
            added = []
            for scope in sorted(one.scopes if scopes is None else scopes):
                entry = _entry(one, scope, by, detail)
                if await connection.fetchrow(QUERIES["add_suppression"], *entry):
                    added.append(scope)
            if added:
                told = {**detail, "scopes": added, "listed": _LIST}
                await _tell(connection, one, EventKind.UNSUBSCRIBED, told)
        return bool(added)

    async def resubscribe(self, one: Subscription) -> bool:
        """Remove what `unsubscribe` listed by this delivery, if it may still be taken back.

        Entries of other deliveries, of feedback reports and of the operator stay.
        """
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_returned"], one.delivery_id)
            removed = await connection.fetch(
                QUERIES["revoke_unsubscribes"],
                *(one.account_id, normal_form(one.recipient), one.delivery_id, one.submission_id),
                *(list(_RULES.values()), self._revocable, _MOST_RETURNS),
            )
            if removed:
                scopes = sorted(row["scope"] for row in removed)
                told = {"by": UnsubscribeForm.PAGE.value, "scopes": scopes}
                await _tell(connection, one, EventKind.RESUBSCRIBED, told)
                await write_audit(
                    connection,
                    "the recipient",
                    "resubscribe",
                    one.account_id,
                    entries=[dict(row) for row in removed],
                )
        return bool(removed)


def _whose(row: Any) -> tuple[UUID, str]:
    return row["account_id"], normal_form(row["recipient"])


def _entry(
    one: Subscription, scope: str, by: UnsubscribeForm, detail: dict[str, str]
) -> tuple[Any, ...]:
    """The parameters of add_suppression."""
    return (
        one.account_id, one.recipient, normal_form(one.recipient), _LIST, scope,
        EventKind.UNSUBSCRIBED.value, detail, _RULES[by], "", None, one.delivery_id,
    )  # fmt: skip


async def _tell(
    connection: Any, one: Subscription, kind: EventKind, detail: dict[str, Any]
) -> None:
    about = one.account_id, one.submission_id, one.delivery_id
    await connection.execute(QUERIES["tell_of_delivery"], *about, kind.value, detail)
