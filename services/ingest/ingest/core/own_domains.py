"""Whether a sender is the account's own: at one of its domains, or at a host of one (RULES U13)."""

from ingest.core import sender_refusals
from ingest.core.admission import Admission, Incoming, SessionFacts
from ingest.core.refusals import Reason, Refusal
from posthouse.mail.address import Address, domains_above


def own_domain(address: Address, facts: SessionFacts) -> str | None:
    """The verified domain that *address* is at; None if it is at none.

    Domains match exactly: one says nothing about its subdomains, unless the profile takes hosts.
    """
    if address.domain in facts.domains:
        return address.domain
    name = address.ascii_domain
    if name in facts.domains:
        return name
    if not facts.profile.sender.hosts_of_domains:
        return None
    return next((above for above in domains_above(name) if above in facts.domains), None)


def require_own_author(message: Incoming, decided: Admission) -> Admission | Refusal:
    """Mail from the null reverse-path has an author at the account's domains, whom else it checks.

    Nothing else says whose mail it is (RFC 6409 section 3.2).
    """
    if message.sender:
        return decided
    facts = message.session
    for author in message.head.authors:
        if own_domain(author.address, facts) is None:
            text = facts.profile.replies.foreign_from
            domain = author.address.ascii_domain
            return sender_refusals.foreign_domain(Reason.AUTHOR, text, domain, facts.domains)
    return decided
