"""Tells accounts, at their alert addresses, of what they want to hear (RULES U26).

The first alert of a kind at once, then so many messages an hour; what comes beyond waits for the
end of that hour and is one message. Processes take turns, and one that dies leaves nothing half
done.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from bounces.core.notices.alert_text import alert_notice
from bounces.core.notices.telling import host_of
from bounces.notice_metrics import PUT_OFF, report
from bounces.relay_identity import RelayIdentity
from posthouse.mail.alert import DueAlerts
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.store import StoreUnavailable
from posthouse.store.alert_store import AlertStore, AlertTurn
from posthouse.store.postgres import Postgres

log = structlog.get_logger()

MEANS = "alert"
_MOST_LISTED = 500


class AlertTelling:
    """Part of the notifier."""

    def __init__(
        self,
        database: Postgres,
        relay: RelayIdentity,
        *,
        announce: Callable[[Lane], None],
        per_hour: int,
        window: timedelta,
    ) -> None:
        """*per_hour*: messages to an account about one kind of alerts, in each *window*."""
        self._store = AlertStore(database, window=window)
        self._relay = relay
        self._announce = announce
        self._per_hour = per_hour

    async def tell(self) -> bool:
        """Tell what has been due longest; whether there was anything.

        What cannot be told is put off for a minute: it must not hold up others.
        """
        due: DueAlerts | None = None
        try:
            async with self._store.turn() as turn:
                if turn is None or (due := await turn.due(self._per_hour, _MOST_LISTED)) is None:
                    return False
                sent = await self._tell(turn, due)
        except StoreUnavailable:
            raise
        except Exception:  # a mistake of ours about one message, or the store refuses it
            if due is None:
                raise
            log.exception("notice_failed", account=due.account_id.hex, means=MEANS)
            await self._put_off(due)
            return True
        if sent:
            self._announce(Lane.NORMAL)
        return True

    async def _tell(self, turn: AlertTurn, due: DueAlerts) -> bool:
        """Whether a message was sent: mail of ours, since the account's own may be held."""
        if due.is_full:
            await turn.gather(due)
            return False
        notice = await self._notice(due)
        await turn.tell(due, notice)
        if notice is not None:
            report(notice, MEANS, alert=due.kind, told=due.account_id.hex, alerts=due.count)
        return notice is not None

    async def _notice(self, due: DueAlerts) -> Submission | None:
        to = due.address
        if to is None or await self._relay.takes_mail_for(host_of(to)):
            return None
        frame = self._relay.own_frame()
        return frame.submission(OPERATOR, to, Lane.NORMAL, alert_notice(due, to, frame))

    async def _put_off(self, due: DueAlerts) -> None:
        PUT_OFF.labels(means=MEANS).inc()
        async with self._store.turn() as turn:
            if turn is not None:
                await turn.put_off(due)
