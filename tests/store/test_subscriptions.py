"""Recipients unsubscribe by the token of a delivery, and take that back."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from posthouse.mail.headline import Headline
from posthouse.mail.submission import Attributes
from posthouse.mail.subscription import Subscription, UnsubscribeForm
from posthouse.mail.suppression_list import SuppressionList
from posthouse.store import StoreUnavailable
from posthouse.store.audit_log import AuditStore
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.store.suppressions import SuppressionStore
from servers.stores import ACCOUNT, Stores

ANN = "Ann@dest.example"
WEEK = timedelta(days=7)


class Recipients:
    """The store, and messages that were sent to Ann."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.store = SubscriptionStore(stores.database, revocable=WEEK)

    async def message(self, profile: str = "critsend", **attributes: Any) -> Subscription:
        """What a message to Ann may be unsubscribed from."""
        (delivery,) = await self.stores.queue(
            recipients=(ANN,),
            profile=profile,
            attributes=Attributes(**attributes),
            headline=Headline("Offers", "shop@sender.example", "The Shop"),
        )
        return await self.again(delivery.id)

    async def again(self, of: UUID | Subscription) -> Subscription:
        """The same as it is now."""
        id_ = of if isinstance(of, UUID) else of.delivery_id
        found = await self.store.find(id_)
        assert found is not None
        return found

    async def listed(self) -> set[str]:
        """The scopes that Ann has unsubscribed from."""
        pair = (ACCOUNT, ANN.lower())
        found = await SuppressionStore(self.stores.database).find([pair])
        return {e.scope for e in found.get(pair, ()) if e.list is SuppressionList.UNSUBSCRIBE}

    async def told(self, of: Subscription) -> list[tuple[str, Mapping[str, Any]]]:
        """What the timeline says of it."""
        events = (await self.stores.story(of.submission_id)).events
        words = ("unsubscribed", "resubscribed")
        return [(e["kind"], e["detail"]) for e in events if e["kind"] in words]


@pytest.fixture
def recipients(stores: Stores) -> Recipients:
    return Recipients(stores)


@pytest.mark.parametrize(
    ("profile", "attributes", "scopes"),
    [
        ("critsend", {"tags": ("invoice1", "spring")}, ("tag:invoice1", "tag:spring")),  # C25
        ("critsend", {}, ("tag:default",)),
        ("maxemail", {"tags": ("order",)}, ("",)),  # the Master Unsubscribe List (M23)
        ("mailup", {"stream": "shop"}, ("stream:shop",)),  # U19
        ("mailup", {}, ("",)),
        ("mailtarget", {"tags": ("a",)}, ("",)),
        ("native", {"stream": "news", "tags": ("a",)}, ("stream:news",)),
        ("native", {}, ("",)),
    ],
)
async def test_the_profile_says_what_a_message_is_unsubscribed_from(
    recipients: Recipients, profile: str, attributes: dict[str, Any], scopes: tuple[str, ...]
) -> None:
    found = await recipients.message(profile, **attributes)
    assert (ANN, "shop@sender.example", "The Shop") == (
        found.recipient,
        found.author,
        found.author_name,
    )
    assert (scopes, frozenset(), None) == (found.scopes, found.left, found.revocable_until)
    assert not found.is_left


async def test_entry_and_event_are_written_once_however_often_it_is_said(
    recipients: Recipients,
) -> None:
    one = await recipients.message(tags=("invoice1",))
    assert await recipients.store.unsubscribe(one, UnsubscribeForm.ONE_CLICK)
    assert not await recipients.store.unsubscribe(one, UnsubscribeForm.PAGE)
    later = await recipients.message(tags=("invoice1",))
    assert not await recipients.store.unsubscribe(later, UnsubscribeForm.MAIL)

    assert {"tag:invoice1"} == await recipients.listed()
    ((kind, detail),) = await recipients.told(one)
    assert ("unsubscribed", ["tag:invoice1"]) == (kind, detail["scopes"])
    assert ("one click", "unsubscribe") == (detail["by"], detail["listed"])
    assert [] == await recipients.told(later)
    assert (await recipients.again(later)).is_left
    assert not (await recipients.message(tags=("invoice2",))).is_left


async def test_everything_may_be_left_in_place_of_a_part(recipients: Recipients) -> None:
    one = await recipients.message(tags=("invoice1",))
    assert await recipients.store.unsubscribe(one, UnsubscribeForm.PAGE, scopes=("",))
    assert {""} == await recipients.listed()
    assert (await recipients.message(tags=("other",))).is_left


async def test_it_is_taken_back_within_a_week_and_the_timeline_tells_both(
    recipients: Recipients,
) -> None:
    one = await recipients.message(tags=("invoice1",))
    await recipients.store.unsubscribe(one, UnsubscribeForm.PAGE)
    left = await recipients.again(one)
    assert left.is_left
    assert left.revocable_until is not None

    assert await recipients.store.resubscribe(one)
    assert not await recipients.store.resubscribe(one)

    assert set() == await recipients.listed()
    assert ["unsubscribed", "resubscribed"] == [kind for kind, _ in await recipients.told(one)]
    (line,) = await AuditStore(recipients.stores.database).newest(5)
    assert ("the recipient", "resubscribe", ACCOUNT) == (
        line["actor"],
        line["action"],
        (await recipients.again(one)).account_id,
    )

    await recipients.store.unsubscribe(one, UnsubscribeForm.PAGE)
    await recipients.stores.sql("UPDATE suppressions SET created_at = now() - interval '8 d'")
    assert (await recipients.again(one)).revocable_until is None
    assert not await recipients.store.resubscribe(one)
    assert {"tag:invoice1"} == await recipients.listed()


@pytest.mark.parametrize(
    ("reason", "rule"), [("unsubscribed", "feedback: opt-out"), ("by hand", ""), ("imported", "")]
)
async def test_entries_of_others_are_never_removed(
    recipients: Recipients, reason: str, rule: str
) -> None:
    """Such as those of a provider's report, of the operator, or of another message's page."""
    one, other = await recipients.message("maxemail"), await recipients.message("maxemail")
    await SuppressionStore(recipients.stores.database).add(
        ACCOUNT, ANN, reason, {}, on=SuppressionList.UNSUBSCRIBE, rule=rule
    )
    await recipients.stores.sql("UPDATE suppressions SET delivery_id = $1", one.delivery_id)
    left = await recipients.again(one)
    assert (True, None) == (left.is_left, left.revocable_until)
    assert not await recipients.store.resubscribe(one)

    await recipients.stores.sql("DELETE FROM suppressions")
    await recipients.store.unsubscribe(one, UnsubscribeForm.PAGE)
    assert (await recipients.again(other)).revocable_until is None
    assert not await recipients.store.resubscribe(other)


async def test_nobody_fills_the_history_by_going_and_coming(recipients: Recipients) -> None:
    one = await recipients.message("maxemail")
    came_back = 0
    for _ in range(20):
        await recipients.store.unsubscribe(one, UnsubscribeForm.PAGE)
        came_back += await recipients.store.resubscribe(one)
    assert 10 == came_back
    assert {""} == await recipients.listed()
    assert (await recipients.again(one)).revocable_until is None


async def test_what_nobody_knows_is_not_guessed(recipients: Recipients) -> None:
    assert await recipients.store.find(UUID(int=1)) is None
    one = await recipients.message()
    await recipients.stores.sql("UPDATE submissions SET profile_revision = 99")
    with pytest.raises(StoreUnavailable, match="newer version"):
        await recipients.store.find(one.delivery_id)
