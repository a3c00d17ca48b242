"""Why the sender of a message, its From or its Reply-To is refused, and the reply to the client."""

from collections.abc import Collection

from ingest.core.refusals import Reason, Refusal, in_ascii
from posthouse.mail.reply import Reply
from posthouse.profiles.choices import FromPolicy

_DOMAINS_NAMED = 8

_NO_NULL_SENDER = {
    FromPolicy.REWRITE_FROM_ENVELOPE: (
        "MAIL FROM is who the message is from, and must be at an allowed domain"
    ),
    FromPolicy.REQUIRE_EQUAL: "MAIL FROM and From must be the same address",
}


def null_sender(policy: FromPolicy) -> Refusal:
    """MAIL FROM:<> where the profile takes none (M07, E18)."""
    why = _NO_NULL_SENDER.get(policy, "this user has to give a sender")
    return Refusal(Reason.SENDER, Reply(550, f"The null reverse-path is not taken: {why}", "5.7.1"))


def unequal_sender(sender: str, author: str) -> Refusal:
    """MAIL FROM and From differ."""
    text = f"MAIL FROM <{in_ascii(sender)}> and From <{in_ascii(author)}> must be the same address"
    return Refusal(Reason.SENDER, Reply(550, text, "5.6.0"))


def domain_of_another(domain: str, owner: str = "another account") -> Refusal:
    """A sender is at a domain, or below one, that somebody else has."""
    text = f"{domain} belongs to {owner}: verify it for this account, or send as another"
    return Refusal(Reason.SENDER, Reply(550, text, "5.7.1"))


def no_sandbox(domain: str) -> Refusal:
    """The profile lets nobody send from the sandbox domain."""
    text = f"Mail from {domain}, the sandbox domain, is not open to this profile"
    return Refusal(Reason.SANDBOX, Reply(550, text, "5.7.1"))


def only_sender_in_sandbox(domain: str, name: str) -> Refusal:
    """MAIL FROM or Sender, as *name* says, is at the sandbox domain, and From is not."""
    text = f"{name} is at {domain}, the sandbox domain, and From is not: put both there"
    return Refusal(Reason.SANDBOX, Reply(550, text, "5.7.1"))


def unverified_domain(reason: Reason, domain: str) -> Refusal:
    """A sender is on the profile's list, and its domain not verified for the account (U18)."""
    text = f"{domain} is on the list of senders, but not verified for this account: verify it first"
    return Refusal(reason, Reply(550, text, "5.7.1"))


def foreign_reply_to(address: str, authors: Collection[str]) -> Refusal:
    """Replies would go to another address than the author's (U21)."""
    text = f"Reply-To {address!a} differs from From, {_named(authors)}: this account may not do so"
    return Refusal(Reason.AUTHOR, Reply(550, text, "5.7.1"))


def foreign_domain(reason: Reason, text: str, domain: str, allowed: Collection[str]) -> Refusal:
    """A sender is at a domain that the account has not verified; *text* is its profile's."""
    shown = text.replace("{domain}", domain).replace("{allowed}", _named(allowed))
    return Refusal(reason, Reply(550, shown, "5.7.1"))


def _named(domains: Collection[str]) -> str:
    if not domains:
        return "it has none"
    names = sorted(domains)
    more = len(names) - _DOMAINS_NAMED
    listed = ", ".join(names[:_DOMAINS_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed
