"""Mail from the sandbox domain, which is the relay's and every account's (RULES T11)."""

from dataclasses import replace as with_changes

from ingest.core import sender_refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.domains_of_others import is_replaced, sender_domains
from ingest.core.refusals import Refusal
from posthouse.mail.address import Address


def judge_sandbox(message: Incoming, decided: Admission) -> Admission | Refusal:
    """Whether the message is from the sandbox domain, as recipients would see it; as a rule.

    Where they see From, MAIL FROM may be there too, or anywhere that the profile allows, but not
    there alone, and neither may Sender: a name of ours would take the bounces of other mail, and
    stand behind it.
    """
    session = message.session
    domain, knobs = session.sandbox_domain, session.profile.sandbox
    sender = message.sender
    by_sender = bool(sender) and Address.parse(sender).ascii_domain == domain
    if is_replaced(session):
        is_shown = by_sender
    else:
        is_shown = any(author.address.ascii_domain == domain for author in message.head.authors)
    if not is_shown:
        if by_sender:
            return sender_refusals.only_sender_in_sandbox(domain, "MAIL FROM")
        if domain in sender_domains(message.head, "", (b"sender",)):
            return sender_refusals.only_sender_in_sandbox(domain, "Sender")
        return decided
    if not knobs.allowed:
        return sender_refusals.no_sandbox(domain)
    return decided._replace(
        attributes=with_changes(decided.attributes, sandboxed=True),
        terms=with_changes(decided.terms, sandbox_limit=knobs.most_messages),
    )
