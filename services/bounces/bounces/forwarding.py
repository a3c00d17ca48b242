"""Sends mail on that came to the bounce port: to a bounce address, or to the operator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from bounces.core.notices.composing import plain
from bounces.core.notices.notice_text import forwarded, forwarded_by_us
from bounces.core.notices.telling import host_of
from bounces.message_text import MOST_OCTETS_KEPT
from bounces.relay_identity import RelayIdentity
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Submission
from posthouse.running.identity import new_id
from posthouse.store.kept_mail import KeptMail, OperatorMailStore
from posthouse.store.returns import ReturnStore

log = structlog.get_logger()

_CUT = f"Only its first {MOST_OCTETS_KEPT} octets were kept, which follow."

OPERATOR_MAIL = Counter(
    "posthouse_operator_mail_total",
    "Messages to postmaster@ or abuse@ of our hosts that were no reports, by what became of them",
    ["result"],
)


@dataclass(frozen=True, slots=True)
class OperatorAddress:
    """Where mail for the operator is forwarded to."""

    address: str | None = None  # None: such mail is kept
    per_hour: int = 20


class MailOnward:
    """Makes the messages in which mail is sent on, and keeps what cannot be."""

    def __init__(
        self,
        returns: ReturnStore,
        kept: OperatorMailStore,
        relay: RelayIdentity,
        operator: OperatorAddress,
        announce: Callable[[Lane], None],
    ) -> None:
        """*announce* is told, after the commit, in which lane a submission became due."""
        self._returns = returns
        self._kept = kept
        self._relay = relay
        self._operator = operator
        self.announce = announce

    async def forward(self, delivery: Delivery, content: bytes) -> Submission | None:
        """*content*, which came back for *delivery*, in a message to its account's bounce address.

        None when the account has none, and when it would go round in circles (RULES E04, E09).
        Raises StoreUnavailable.
        """
        found = await self._returns.bounce_address(delivery.submission_id)
        if found is None or forwarded_by_us(content, self._relay.hostname):
            return None
        sender, to = found
        if await self._relay.takes_mail_for(host_of(to)):
            return None
        frame = await self._relay.frame(delivery.account_id, sender)
        why = (
            f"This came back for your message {delivery.submission_id.hex}",
            f"to {plain(delivery.recipient)}.",
        )
        subject = f"Returned mail: {delivery.recipient}"
        message = forwarded(content, to, subject, why, frame)
        return frame.submission(delivery.account_id, to, Lane.LOW, message)

    async def forward_to_operator(
        self, content: bytes, client: str, *, recipient: str, sender: str
    ) -> None:
        """Forward *content*, which came from *client* to *recipient*, a role of ours, or keep it.

        Returns when either is committed (RFC 5321 section 4.5.1, RFC 2142). Raises StoreUnavailable
        or StoreRefused, and then nothing was done.
        """
        mail = KeptMail(
            id=new_id(),
            received_at=datetime.now(UTC),
            recipient=recipient,
            sender=sender,
            client=client,
            size=len(content),
            content=content,
            reason="",
        )
        result = await self._send_to_operator(mail)
        if result != "forwarded":
            await self._kept.keep(mail, result)
        OPERATOR_MAIL.labels(result=result).inc()
        log.info("operator_mail", result=result, recipient=recipient, sender=sender, client=client)

    async def _send_to_operator(self, mail: KeptMail) -> str:
        """What became of it, as a word: `forwarded`, or why it was not."""
        to = self._operator.address
        if to is None:
            return "no_address"
        if await self._relay.takes_mail_for(host_of(to)):
            return "own_host"
        if forwarded_by_us(mail.content, self._relay.hostname):
            return "loop"
        frame = self._relay.own_frame()
        why = (
            f"This message came to {plain(mail.recipient)},",
            f"from {plain(mail.sender) or '<>'}, sent by {plain(mail.client)}.",
            "It is no report about a message of this relay, so it is for you.",
            *([_CUT] if len(mail.content) == MOST_OCTETS_KEPT else ()),
        )
        message = forwarded(mail.content, to, f"Mail to {mail.recipient}", why, frame)
        notice = frame.submission(OPERATOR, to, Lane.NORMAL, message)
        if not await self._kept.forward(notice, self._operator.per_hour):
            return "hourly_limit"
        self.announce(notice.lane)
        return "forwarded"
