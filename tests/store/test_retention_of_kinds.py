"""What goes sooner than its history where a setting says so: opens and clicks, the audit."""

from datetime import timedelta

import pytest

from posthouse.running.retention_settings import WithRetention
from posthouse.running.settings import SettingsError, load
from posthouse.store import housekeeping
from posthouse.store.housekeeping import Duty, Housekeeping
from posthouse.store.retention import Retention
from servers.stores import ACCOUNT, Stores
from webhooks.settings import WebhooksSettings

WEEK = timedelta(days=7)


def duties(stores: Stores, retention: Retention) -> dict[str, Duty]:
    keeping = Housekeeping(stores.database, retention)
    return {duty.name: duty for duty in keeping.duties}


async def happened(stores: Stores, days: float, *kinds: str) -> None:
    """Events of that age, the first one the oldest."""
    await stores.sql(
        """
        INSERT INTO events (id, account_id, submission_id, kind)
        SELECT first_id_of(now() - $1::interval + n * interval '1 second'), $2, new_id(), kind
        FROM unnest($3::text[]) WITH ORDINALITY AS t(kind, n)
        """,
        timedelta(days=days), ACCOUNT, list(kinds),
    )  # fmt: skip


async def left(stores: Stores) -> list[str]:
    return [row["kind"] for row in await stores.sql("SELECT kind FROM events ORDER BY id")]


@pytest.mark.parametrize("at_once", [1, 2, 10_000])
async def test_opens_and_clicks_go_when_their_time_has_passed_and_nothing_else(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(housekeeping, "_LOOKED_ROWS", at_once)
    await happened(stores, 8.0, "accepted", "delivered", "opened", "clicked", "unsubscribed")
    await happened(stores, 6.0, "opened", "delivered", "clicked")
    forgetting = duties(stores, Retention(visits=WEEK))["visits"]
    assert await forgetting.run_once()
    kept = ["accepted", "delivered", "unsubscribed", "opened", "delivered", "clicked"]
    assert kept == await left(stores)

    await happened(stores, 7.5, "clicked", "bounced")
    assert await forgetting.run_once()
    assert [*kept[:3], "bounced", *kept[3:]] == await left(stores)


async def test_an_event_is_looked_at_once_also_by_the_process_that_comes_after(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_LOOKED_ROWS", 2)
    monkeypatch.setattr(housekeeping, "_LOOKS", 2)
    await happened(stores, 8.0, *("opened", "delivered") * 3)
    for opens in (1, 0):
        assert await duties(stores, Retention(visits=WEEK))["visits"].run_once()
        assert opens == (await left(stores)).count("opened")
    until = await stores.value("SELECT until FROM retention_cursors WHERE kind = 'visits'")
    assert until == await stores.value("SELECT id FROM events ORDER BY id DESC LIMIT 1")
    (row,) = await stores.database.fetch("forget_visits", WEEK, 10)
    assert (0, 0) == (row["looked"], row["gone"])


async def test_the_audit_is_kept_as_long_as_a_setting_says(stores: Stores) -> None:
    for days in (400, 300):
        await stores.sql(
            "INSERT INTO audit (id, at, actor, action) SELECT first_id_of(at), at, 'jo', $2 "
            "FROM (SELECT now() - $1::interval AS at) t",
            timedelta(days=days), f"{days} days ago",
        )  # fmt: skip
    assert await duties(stores, Retention(audit=timedelta(days=365)))["audit"].run_once()
    actions = [row["action"] for row in await stores.sql("SELECT action FROM audit")]
    assert ["300 days ago"] == actions


async def test_without_a_setting_nothing_looks_for_them(stores: Stores) -> None:
    """Events would be read a second time in their lives."""
    assert not {"visits", "audit"} & duties(stores, Retention()).keys()


def test_opens_and_clicks_are_kept_no_longer_than_the_history() -> None:
    given = {"POSTHOUSE_VISIT_RETENTION_DAYS": "31"}
    with pytest.raises(SettingsError, match=r"DAYS is 31: should be at most 30, which POSTHOUSE_H"):
        load(WithRetention, given)
    longer = load(WithRetention, {**given, "POSTHOUSE_HISTORY_RETENTION_DAYS": "31"})
    assert 31 == longer.visit_retention_days
    with pytest.raises(SettingsError, match=r"POSTHOUSE_AUDIT_RETENTION_DAYS is '0': should be gr"):
        load(WithRetention, {"POSTHOUSE_AUDIT_RETENTION_DAYS": "0"})


@pytest.mark.parametrize(("given", "days"), [(None, 14), (3, 3), (90, 90)])
def test_dead_letters_are_kept_as_the_history_unless_a_setting_says_else(
    given: int | None, days: int
) -> None:
    told = WebhooksSettings.model_construct(history_retention_days=14, webhook_retention_days=given)
    assert timedelta(days=days) == told.kept


@pytest.mark.parametrize(("visits", "days"), [(None, 14), (3, 3)])
def test_facts_are_kept_for_as_long_as_those_that_go_first(visits: int | None, days: int) -> None:
    """By this webhooks know for how long an event may wait to be written."""
    told = WebhooksSettings.model_construct(history_retention_days=14, visit_retention_days=visits)
    assert timedelta(days=days) == told.facts_kept
