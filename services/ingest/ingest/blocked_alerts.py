"""Alerts of mail that was refused: recorded beside the sessions, so that no reply waits for it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import structlog

from posthouse.running.waiting import wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable

log = structlog.get_logger()

_SECONDS = 1.0


class AlertLog(Protocol):
    """The store of alerts."""

    async def record_alert(
        self, account_id: UUID, submission_id: UUID, detail: Mapping[str, Any]
    ) -> None:
        """Write the event; raises StoreUnavailable and StoreRefused."""


class BlockedAlerts:
    """Records at most one alert of a kind a second and account: the first, and how many."""

    def __init__(
        self, alerts: AlertLog, new_id: Callable[[], UUID], *, seconds: float = _SECONDS
    ) -> None:
        self._alerts = alerts
        self._new_id = new_id
        self._seconds = seconds
        self._waiting: dict[tuple[UUID, str], tuple[Mapping[str, Any], int]] = {}

    def note(self, account_id: UUID, alert: Mapping[str, Any]) -> None:
        """Something was noticed, of which the account wants to hear."""
        key = account_id, alert["alert"]
        first, times = self._waiting.get(key, (alert, 0))
        self._waiting[key] = first, times + 1

    async def run(self, stopping: asyncio.Event) -> None:
        """Record until *stopping*; while the database is away they wait."""
        while not await wait_for_event(stopping, self._seconds):
            await self._record()
        await self._record()

    async def _record(self) -> None:
        for (account_id, kind), (first, times) in list(self._waiting.items()):
            detail = {**first, "times": times} if times > 1 else first
            try:
                await self._alerts.record_alert(account_id, self._new_id(), detail)
            except StoreUnavailable as error:
                log.warning("alerts_not_recorded", reason=str(error), accounts=len(self._waiting))
                return
            except StoreRefused as error:
                log.warning("alert_refused", account=account_id.hex, reason=str(error))
            self._forget((account_id, kind), times)

    def _forget(self, key: tuple[UUID, str], times: int) -> None:
        """Those that came while it was recorded are still to be."""
        first, now = self._waiting.pop(key)
        if now > times:
            self._waiting[key] = first, now - times
