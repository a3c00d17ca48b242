"""Senders at domains of other accounts or of the relay, which no profile opens (RULES X05)."""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import takewhile

from ingest.core import sender_refusals
from ingest.core.admission import Admission, Incoming, SessionFacts
from ingest.core.message_head import MessageHead
from ingest.core.refusals import Refusal
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import mailboxes
from posthouse.profiles import Profile
from posthouse.profiles.choices import (
    CheckedSender,
    EmptyListMeans,
    FromPolicy,
    SenderCheck,
    SenderList,
)

_BETWEEN_WORDS = re.compile(r'[\s@<>()\[\],;:"\\]+')
_BLOCKING = (SenderCheck.BLOCK, SenderCheck.BLOCK_AND_ALERT)
_MOST_LABELS = 10  # that a domain has which somebody verified, as good as ever


def leaves_senders_open(profile: Profile) -> bool:
    """Whether MAIL FROM or From may be at a domain that the account has not verified."""
    knobs = profile.sender
    return not (
        knobs.check in _BLOCKING
        and knobs.checked_against is SenderList.VERIFIED
        and knobs.check_on is CheckedSender.BOTH
        and knobs.empty_list_means is EmptyListMeans.NONE
        and not knobs.hosts_of_domains  # each of which another account may have verified
    )


def domains_to_ask(head: MessageHead, sender: str, facts: SessionFacts) -> frozenset[str]:
    """The domains that MAIL FROM, From and Sender are at or below, and that may be those of others.

    Those are open to no profile. Usually there are none: the rules of most profiles refuse the
    first two at domains that the account has not verified, and few messages have a Sender.
    """
    open_ = _open_domains(head, sender, facts)
    if not open_:
        return open_
    return frozenset(name for domain in open_ for name in _up_to_own(domain, facts.domains))


def is_replaced(facts: SessionFacts) -> bool:
    """Whether recipients see MAIL FROM in place of From (M08)."""
    return facts.profile.sender.from_policy is FromPolicy.REWRITE_FROM_ENVELOPE


def refuse_domains_of_others(message: Incoming, decided: Admission) -> Admission | Refusal:
    """No account sends as a domain that only another one has verified, or from below it.

    Nor as the relay, from below its names or above: DMARC takes them for one.
    """
    if message.owned_elsewhere:
        return sender_refusals.domain_of_another(min(message.owned_elsewhere))
    facts = message.session
    for domain in sorted(_open_domains(message.head, message.sender, facts)):
        if _is_of_relay(domain, facts):
            return sender_refusals.domain_of_another(domain, "this relay itself")
    return decided


def _is_of_relay(domain: str, facts: SessionFacts) -> bool:
    # With its relaxed alignment (RFC 7489 section 3.1), a signature of mail.example.com or a
    # return path there also speaks for example.com.
    is_above = any(name.endswith(f".{domain}") for name in facts.relay_names)
    return is_above or not facts.relay_names.isdisjoint(_up_to_own(domain, facts.domains))


def _open_domains(head: MessageHead, sender: str, facts: SessionFacts) -> frozenset[str]:
    """Domains of MAIL FROM, From and Sender that the account has not verified itself.

    A From that MAIL FROM replaces says nothing. The sandbox domain is everybody's.
    """
    if not facts.senders_are_open and not head.fields(b"sender"):
        return frozenset()
    names = (b"sender",) if is_replaced(facts) else (b"from", b"sender")
    heard = sender if _is_heard_of(facts) else ""
    named = frozenset(sender_domains(head, heard, names)) - {facts.sandbox_domain}
    return named.difference(facts.domains)


def _is_heard_of(facts: SessionFacts) -> bool:
    """Whether anybody may ever hear of MAIL FROM: it is checked, shown, or told of failures.

    Where it is not, it may be anything (T24).
    """
    profile = facts.profile
    is_checked = profile.sender.check_on is not CheckedSender.FROM
    return is_checked or is_replaced(facts) or profile.bounces.dsn_to_sender


def _up_to_own(domain: str, own: Collection[str]) -> Iterator[str]:
    """*domain* and those above it, up to one of the account's own: who has the nearest decides."""
    return takewhile(lambda name: name not in own, _and_above(domain))


def _and_above(domain: str) -> Iterator[str]:
    labels = domain.split(".")
    yield domain
    for at in range(max(1, len(labels) - _MOST_LABELS), len(labels) - 1):
        yield ".".join(labels[at:])


def sender_domains(head: MessageHead, sender: str, names: tuple[bytes, ...]) -> Iterator[str]:
    """The domains of MAIL FROM and of the fields *names*, where they can be read."""
    if sender:
        yield Address.parse(sender).ascii_domain
    for name in names:
        for field in head.fields(name):
            try:
                found = mailboxes(field.value)
            except InvalidAddress:  # a From is refused; of a Sender readers show what they find
                yield from _possible_domains(field.value)
            else:
                yield from (mailbox.address.ascii_domain for mailbox in found)


def _possible_domains(value: str) -> Iterator[str]:
    """What may be a domain in a field that cannot be read in one way."""
    for word in _BETWEEN_WORDS.split(value):
        if "." in (name := word.strip(".")):
            with suppress(InvalidAddress):
                yield Address.parse(f"x@{name}").ascii_domain
