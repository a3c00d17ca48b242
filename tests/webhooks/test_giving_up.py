"""What becomes of events that an endpoint does not take, and how they are told once more."""

from datetime import UTC, datetime, timedelta

from posthouse.store.webhook_endpoints import ReplayChoice
from servers.patience import eventually
from servers.stores import ACCOUNT
from servers.webhooking import Webhooked
from webhooks.core.endpoint_pace import PauseRule

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def test_dead_letters_and_history_are_told_once_more_with_the_same_ids(
    hooked: Webhooked,
) -> None:
    hook = await hooked.endpoint()
    hooked.sink.answer = lambda _number, _path: 503
    async with hooked.telling():
        await hooked.send()
        await hooked.sink.was_asked(1)
        await hooked.all_queued()

        async def dead() -> bool:
            await hooked.stores.sql(
                "UPDATE webhook_batches SET expires_at = now() - interval '1 s'"
            )
            return (await hooked.again(hook.id)).dead == 3

        await eventually(dead)
        hooked.sink.answer = lambda _number, _path: 200
        choice = ReplayChoice(LONG_AGO, datetime.now(UTC) + timedelta(days=1))
        await hooked.webhooks.resume(hook)
        none = ReplayChoice(LONG_AGO, choice.until, kinds=("bounced",))
        assert 0 == await hooked.webhooks.revive(hook, none)
        assert 3 == await hooked.webhooks.revive(hook, choice)
        await hooked.sink.has(3)
        first = hooked.sink.events()
        await hooked.webhooks.replay(hook, ReplayChoice(LONG_AGO, choice.until, ("delivered",)))
        await hooked.sink.has(5)
    told_again = hooked.sink.events()[3:]
    assert [event for event in first if event["type"] == "message.delivered"] == told_again
    assert 0 == (await hooked.again(hook.id)).dead


async def test_an_endpoint_that_fails_for_long_is_paused_and_its_account_hears_of_it(
    hooked: Webhooked,
) -> None:
    hook = await hooked.endpoint()
    hooked.sink.answer = lambda _number, _path: 500
    async with hooked.telling(pause=PauseRule(timedelta(), failures=1)):
        await hooked.send()

        async def paused() -> bool:
            return (await hooked.again(hook.id)).state.value == "paused"

        await eventually(paused)
        await hooked.all_queued()
    (row,) = await hooked.stores.sql("SELECT account_id, detail FROM events WHERE kind = 'alerted'")
    assert (ACCOUNT, "webhook_paused") == (row["account_id"], row["detail"]["alert"])
    assert "1 requests in a row failed" in row["detail"]["reason"]
