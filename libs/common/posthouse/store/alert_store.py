"""Alerts: the events that say so, and what accounts are still to hear of."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.alert import DueAlerts, UntoldAlert
from posthouse.mail.submission import Submission
from posthouse.store.kept_mail import accept_as_operator
from posthouse.store.notices import HOUR, READER
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


class AlertStore:
    """The statements about alerts. `NoticeStore.note` keeps those that are still to be told."""

    def __init__(self, database: Postgres, *, window: timedelta = HOUR) -> None:
        """*window*: what the limit of messages to an account is for."""
        self._database = database
        self._window = window

    async def record_alert(
        self, account_id: UUID, submission_id: UUID, detail: Mapping[str, Any]
    ) -> None:
        """Write the event of a message that was refused; its *submission_id* is a new one."""
        await self._database.run("record_alert", account_id, submission_id, detail)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator["AlertTurn | None"]:
        """A transaction; None while another process, or task, has the turn.

        Nor are alerts kept meanwhile: one that came in between would be ended without being told.
        """
        async with self._database.connection() as connection, connection.transaction():
            free = await connection.fetchval(QUERIES["take_turn"], READER.lock)
            yield AlertTurn(connection, self._window) if free else None


class AlertTurn:
    """What is asked and written within one transaction."""

    def __init__(self, connection: Any, window: timedelta) -> None:
        self._connection = connection
        self._window = window

    async def due(self, limit: int, most: int) -> DueAlerts | None:
        """The first *most* of what has been due longest, by account and kind.

        It is full when the account had *limit* messages about them in this hour.
        """
        rows = await self._run("due_alerts", self._window, limit, most)
        if not rows:
            return None
        first = rows[0]
        return DueAlerts(
            account_id=first["account_id"],
            account=first["account"],
            address=first["address"],
            kind=first["alert"],
            count=first["count"],
            alerts=tuple(UntoldAlert(r["at"], r["submission_id"], r["detail"]) for r in rows),
            is_full=first["full"],
        )

    async def gather(self, alerts: DueAlerts) -> None:
        """Let them wait for the end of the hour, as all that come until then."""
        await self._run("gather_alerts", alerts.account_id, alerts.kind, self._window)

    async def put_off(self, alerts: DueAlerts) -> None:
        """Leave them for a minute: to a program that makes no mistake about them."""
        await self._run("put_off_alerts", alerts.account_id, alerts.kind)

    async def tell(self, alerts: DueAlerts, notice: Submission | None) -> None:
        """Send *notice*, which tells all of them; None: nobody hears of them."""
        await self._run("end_alerts", alerts.account_id, alerts.kind)
        if notice is not None:
            await self._run("forget_alert_windows", self._window)
            await self._run("count_alert", alerts.account_id, alerts.kind)
            await accept_as_operator(self._connection, notice)

    async def _run(self, query: str, *arguments: Any) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(QUERIES[query], *arguments)
        return rows
