"""Returned mail for the bounce address of its account (RULES E04, E09)."""

from bounces.core.composing import plain
from bounces.core.notice_text import forwarded, forwarded_by_us
from bounces.core.telling import host_of
from bounces.relay_identity import RelayIdentity
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Submission
from posthouse.store.returns import ReturnStore


class ReturnForwarder:
    """Makes the message in which returned mail is forwarded."""

    def __init__(self, returns: ReturnStore, relay: RelayIdentity) -> None:
        self._returns = returns
        self._relay = relay

    async def forward(self, delivery: Delivery, content: bytes) -> Submission | None:
        """*content*, which came back for *delivery*, in a message to its account's bounce address.

        None when the account has none, and when it would go round in circles. Raises
        StoreUnavailable.
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
