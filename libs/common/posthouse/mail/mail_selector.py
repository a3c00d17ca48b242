"""Which of the mail that waits an operator means, and what may be done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from posthouse.answers.answer import AnswerClass
from posthouse.mail.lane import Lane
from posthouse.mail.message_query import UnusableQuery
from posthouse.mail.message_state import MessageState
from posthouse.mail.moment_text import UnreadableMoment, age_in

_OPEN = frozenset(
    (
        MessageState.READY,
        MessageState.INFLIGHT,
        MessageState.DEFERRED,
        MessageState.PARKED,
        MessageState.HELD,
        MessageState.SCHEDULED,
        MessageState.QUARANTINED,
    )
)
_WORDS = frozenset(
    (
        "recipient", "domain", "site", "user", "account", "stream", "tag", "lane", "older-than",
        "newer-than", "class", "state", "reason",
    )
)  # fmt: skip


class MailOperation(StrEnum):
    """What an operator does to mail that waits."""

    RETRY = "retry"  # now, and not at the time of its next attempt
    HOLD = "hold"
    RELEASE = "release"  # from a hold by the operator, or from the quarantine
    CANCEL = "cancel"  # nobody hears of it
    BOUNCE = "bounce"  # its sender hears of it, as of other bounces


@dataclass(frozen=True, slots=True)
class MailSelector:
    """Mail for which all of this is true; None, or nothing, does not choose.

    Of a message that policy has not prepared all recipients have to fit, since it is one; it has no
    site yet, and no answer.
    """

    ids: tuple[UUID, ...] = ()  # of messages or deliveries
    recipient: str | None = None
    domain: str | None = None  # of the recipient, in lower case
    site: str | None = None
    user: str | None = None
    account: str | None = None
    stream: str | None = None
    tag: str | None = None
    lane: Lane | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    kind: AnswerClass | None = None  # of the last answer
    states: frozenset[MessageState] = frozenset()
    reason: str | None = None  # why it is held or quarantined, exactly
    words: Mapping[str, str] = field(default_factory=dict)  # it is made of, for the audit

    @property
    def chooses(self) -> bool:
        """Whether it means less than everything."""
        return bool(self.ids or self.words)

    @staticmethod
    def of(words: Mapping[str, str], ids: Sequence[UUID] = ()) -> "MailSelector":
        """Made of words: recipient, domain, site, user, account, stream, tag, lane, older-than,
        newer-than, class, state, reason.

        "older-than" and "newer-than" are like 30min, 2h or 5d; "state" has several with commas
        between them. Raises UnusableQuery.
        """  # noqa: D205 -- a list of words
        for name, value in words.items():
            if name not in _WORDS:
                raise UnusableQuery(f"{name!r} is none of {', '.join(sorted(_WORDS))}")
            if not value or "\0" in value:
                raise UnusableQuery(f"{name} is empty, or has a NUL in it")
        try:
            return MailSelector(
                ids=tuple(ids),
                recipient=words.get("recipient"),
                domain=words["domain"].lower() if "domain" in words else None,
                site=words.get("site"),
                user=words.get("user"),
                account=words.get("account"),
                stream=words.get("stream"),
                tag=words.get("tag"),
                lane=Lane.from_label(words["lane"]) if "lane" in words else None,
                older_than=_age(words, "older-than"),
                newer_than=_age(words, "newer-than"),
                kind=AnswerClass(words["class"]) if "class" in words else None,
                states=_states(words.get("state", "")),
                reason=words.get("reason"),
                words=dict(words),
            )
        except (ValueError, UnreadableMoment) as error:
            raise UnusableQuery(str(error)) from error


def applies(
    operation: MailOperation, state: MessageState, *, leased: bool, reason: str | None
) -> bool:
    """Whether *operation* changes anything about mail in that *state*, held for that *reason*.

    What a worker has is being tried now, and what is parked comes as soon as its site has room.
    """
    match operation:
        case MailOperation.RETRY:
            return state is MessageState.DEFERRED and not leased
        case MailOperation.HOLD:
            return reason is None
        case MailOperation.RELEASE:
            return reason is not None
        case MailOperation.CANCEL | MailOperation.BOUNCE:
            return True


def _age(words: Mapping[str, str], name: str) -> timedelta | None:
    return age_in(words[name]) if name in words else None


def _states(text: str) -> frozenset[MessageState]:
    found = frozenset(MessageState(one.strip()) for one in text.split(",") if one.strip())
    if not found <= _OPEN:
        allowed = ", ".join(state for state in MessageState if state in _OPEN)
        raise UnusableQuery(f"state {text!r}: mail that waits is {allowed}")
    return found
