"""Who a message may be from (RULES X04, X05): MAIL FROM, From and Sender."""

from dataclasses import dataclass, replace
from itertools import islice
from uuid import UUID

from ingest.core import refusals, sender_refusals
from ingest.core.admission import Admission, Incoming, SessionFacts
from ingest.core.domains_of_others import is_replaced
from ingest.core.own_domains import own_domain
from ingest.core.refusals import Reason, Refusal
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.alert import Alert, AlertKind
from posthouse.mail.repeated_fields import are_copies
from posthouse.profiles.choices import (
    CheckedSender,
    EmptyListMeans,
    SenderCheck,
    SenderList,
)
from posthouse.profiles.knobs import SenderKnobs

_BLOCKING = (SenderCheck.BLOCK, SenderCheck.BLOCK_AND_ALERT)
_ALERTING = (SenderCheck.ALERT, SenderCheck.BLOCK_AND_ALERT)


def check_sender(sender: Address | None, facts: SessionFacts) -> Refusal | None:
    """Judge MAIL FROM; None is the null reverse-path."""
    knobs = facts.profile.sender
    if sender is None:
        return None if knobs.takes_null_sender else sender_refusals.null_sender(knobs.from_policy)
    if knobs.check not in _BLOCKING or knobs.check_on is CheckedSender.FROM:
        return None
    return unauthorized(sender, facts, Reason.SENDER)


def unauthorized(address: Address, facts: SessionFacts, reason: Reason) -> Refusal | None:
    """Why *address* is not on the list of senders that the profile checks; None if it is."""
    knobs = facts.profile.sender
    is_verified = own_domain(address, facts) is not None
    if knobs.checked_against is SenderList.VERIFIED:
        allowed, is_listed = facts.domains, is_verified
    else:
        allowed = (*knobs.authorized_domains, *knobs.authorized_senders)
        is_listed = _is_listed(address, knobs)
        if is_listed and knobs.listed_are_verified and not is_verified:
            return _with_alert(
                sender_refusals.unverified_domain(reason, address.ascii_domain), address, knobs
            )
    if is_listed or (not allowed and knobs.empty_list_means is EmptyListMeans.ALL):
        return None
    if address.ascii_domain == facts.sandbox_domain and facts.profile.sandbox.allowed:
        return None
    texts = facts.profile.replies
    text = texts.foreign_sender if reason is Reason.SENDER else texts.foreign_from
    refusal = sender_refusals.foreign_domain(reason, text, address.ascii_domain, allowed)
    return _with_alert(refusal, address, knobs)


def _is_listed(address: Address, knobs: SenderKnobs) -> bool:
    domain = address.ascii_domain
    if domain in knobs.authorized_domains:
        return True
    return f"{address.local.lower()}@{domain}" in knobs.authorized_senders


def _with_alert(refusal: Refusal, address: Address, knobs: SenderKnobs) -> Refusal:
    """*refusal* with what the account hears of it, where it wants to hear of it (U16, U17)."""
    if knobs.check not in _ALERTING:
        return refusal
    field = "MAIL FROM" if refusal.reason is Reason.SENDER else "From"
    blocked = knobs.check is SenderCheck.BLOCK_AND_ALERT
    alert = Alert(AlertKind.UNAUTHORIZED_SENDER, field, str(address), blocked)
    return replace(refusal, alert=alert.detail())


def alert_unauthorized(message: Incoming, decided: Admission) -> Admission:
    """A sender that is not on the list is sent, and the account hears of it (U16).

    Of several authors it hears of the first: each alert is an event, and a header has thousands.
    """
    checked, facts = message.session.profile.sender.check_on, message.session
    found: list[Refusal] = []
    if (checked is not CheckedSender.FROM and message.sender) and (
        refusal := unauthorized(Address.parse(message.sender), facts, Reason.SENDER)
    ):
        found.append(refusal)
    if checked is not CheckedSender.MAIL_FROM:
        judged = (unauthorized(a.address, facts, Reason.AUTHOR) for a in message.head.authors)
        found += islice(filter(None, judged), 1)
    alerts = tuple(refusal.alert for refusal in found if refusal.alert)
    if not alerts:
        return decided
    attributes = replace(decided.attributes, alerts=(*decided.attributes.alerts, *alerts))
    return decided._replace(attributes=attributes)


@dataclass(frozen=True, slots=True)
class RequireAuthor:
    """Require one From header, which can be read in one way only."""

    is_checked: bool  # each author is on the list of senders
    takes_copies: bool = False  # several that say the same are one

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        fields = message.head.fields(b"from")
        if not fields:
            return refusals.NO_AUTHOR
        if len(fields) > 1 and not (self.takes_copies and are_copies(fields)):
            return refusals.SEVERAL_AUTHOR_FIELDS
        try:
            authors = message.head.authors
        except InvalidAddress as error:
            return refusals.unreadable_field("From", error)
        if self.is_checked:
            for author in authors:
                if refusal := unauthorized(author.address, message.session, Reason.AUTHOR):
                    return refusal
        return decided


def require_single_author(message: Incoming, decided: Admission) -> Admission | Refusal:
    """From names one address (E13)."""
    count = len(message.head.authors)
    return decided if count == 1 else refusals.several_addresses("From", count)


def require_equal_sender(message: Incoming, decided: Admission) -> Admission | Refusal:
    """MAIL FROM and From are the same address (E18)."""
    author = message.head.authors[0].address
    if author == Address.parse(message.sender):
        return decided
    return sender_refusals.unequal_sender(message.sender, str(author))


# The account. The key of a parent may send for its children.


def choose_account(message: Incoming, decided: Admission) -> Admission:
    """The account that has the domain of From, or else of MAIL FROM; the credential's own first.

    Lists, DKIM keys and events of the message are those of that account.
    """
    facts = message.session
    if not facts.child_domains:
        return decided
    account = _account(message, facts)
    return decided if account == decided.account_id else decided._replace(account_id=account)


def _account(message: Incoming, facts: SessionFacts) -> UUID:
    authors = () if is_replaced(facts) else message.head.authors
    sender = (Address.parse(message.sender),) if message.sender else ()
    for address in (*(author.address for author in authors), *sender):
        if (domain := own_domain(address, facts)) is not None:
            return facts.child_domains.get(domain, facts.account_id)
    return facts.account_id
