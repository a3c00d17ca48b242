"""Mail to postmaster@ and abuse@ of our own hosts (RFC 5321 section 4.5.1, RFC 2142)."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from bounces.core.composing import plain
from bounces.core.notice_text import forwarded, forwarded_by_us
from bounces.core.telling import host_of
from bounces.relay_identity import RelayIdentity
from posthouse.mail.lane import Lane
from posthouse.mail.undelivered import OPERATOR
from posthouse.running.identity import new_id
from posthouse.store.kept_mail import KeptMail, OperatorMailStore

log = structlog.get_logger()

OPERATOR_MAIL = Counter(
    "posthouse_operator_mail_total",
    "Messages to postmaster@ or abuse@ of our hosts that were no reports, by what became of them",
    ["result"],
)


class OperatorMail:
    """Forwards to the operator's address what it should see, and keeps the rest."""

    def __init__(
        self,
        store: OperatorMailStore,
        relay: RelayIdentity,
        *,
        address: str | None,
        per_hour: int,
        announce: Callable[[Lane], None],
    ) -> None:
        """*announce* is told, after the commit, in which lane a submission became due."""
        self._store = store
        self._relay = relay
        self._address = address
        self._per_hour = per_hour
        self._announce = announce

    async def forward_to_operator(
        self, content: bytes, client: str, *, recipient: str, sender: str
    ) -> None:
        """Forward *content*, which came to *recipient* from *client*, or keep it.

        Returns when either is committed. Raises StoreUnavailable or StoreRefused, and then nothing
        was done.
        """
        result = await self._why_not(content) or await self._forward(
            content, client, recipient=recipient, sender=sender
        )
        if result != "forwarded":
            kept = KeptMail(
                id=new_id(),
                received_at=datetime.now(UTC),
                recipient=recipient,
                sender=sender,
                client=client,
                size=len(content),
                content=content,
                reason=result,
            )
            await self._store.keep(kept)
        OPERATOR_MAIL.labels(result=result).inc()
        log.info("operator_mail", result=result, recipient=recipient, sender=sender, client=client)

    async def _why_not(self, content: bytes) -> str | None:
        """Why it must not be sent, if so."""
        if self._address is None:
            return "no_address"
        if await self._relay.takes_mail_for(host_of(self._address)):
            return "own_host"
        return "loop" if forwarded_by_us(content, self._relay.hostname) else None

    async def _forward(self, content: bytes, client: str, *, recipient: str, sender: str) -> str:
        assert self._address is not None
        frame = self._relay.own_frame()
        why = (
            f"This message came to {plain(recipient)},",
            f"from {plain(sender) or '<>'}, sent by {plain(client)}.",
            "It is no report about a message of this relay, so it is for you.",
        )
        message = forwarded(content, self._address, f"Mail to {recipient}", why, frame)
        notice = frame.submission(OPERATOR, self._address, Lane.NORMAL, message)
        if not await self._store.forward(notice, self._per_hour):
            return "hourly_limit"
        self._announce(notice.lane)
        return "forwarded"
