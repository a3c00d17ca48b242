"""The meaning of a reply: outcome and scope, from the command it answers, its code and its text.

Only a recipient-scope Bounced may suppress an address, so in doubt the scope is wider:
a wrong suppression costs a customer's customer, a missing one costs another bounce.
"""

import re
from enum import StrEnum

from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Scope, Uncertain
from posthouse.mail.reply import Reply


class SmtpStage(StrEnum):
    """What a reply answers; also what a connection may wait for."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "final dot"
    QUIT = "QUIT"


# Before MAIL nothing has been said about any mail: these replies are about the two hosts.
_ABOUT_HOSTS = frozenset(
    {
        SmtpStage.GREETING,
        SmtpStage.EHLO,
        SmtpStage.HELO,
        SmtpStage.STARTTLS,
        SmtpStage.RSET,
        SmtpStage.QUIT,
    }
)

# "Must issue STARTTLS first", "authentication required" (RFC 3207, RFC 4954): about how this
# conversation was set up; the cause may be a passing TLS failure or the operator's mistake.
_MENDABLE = frozenset({530, 535, 538})

SERVICE_CLOSING = 421  # RFC 5321 section 3.8: may answer any command
_FULL_OR_TOO_MANY = 552
_NO_STORAGE = 452


def classify_reply(reply: Reply, stage: SmtpStage, *, recipients: int = 1) -> Outcome:
    """The outcome of a reply that can mean success: the one to the final dot."""
    if stage is SmtpStage.DOT and reply.is_success:
        return Delivered(reply)
    return classify_refusal(reply, stage, recipients=recipients)


def classify_refusal(reply: Reply, stage: SmtpStage, *, recipients: int = 1) -> Deferred | Bounced:
    """The outcome of a reply that cannot mean success, whatever its code.

    Only a clear 5yz to MAIL, RCPT, DATA or the final dot bounces; an odd success or
    intermediate reply is as unclear as a 4yz. *recipients* is how many the reply speaks for.
    """
    scope = scope_of(reply, stage)
    if recipients > 1 and scope is Scope.RECIPIENT:
        # One reply for several mailboxes cannot say which of them is meant.
        scope = Scope.MESSAGE
    may_be_final = stage not in _ABOUT_HOSTS and reply.code not in _MENDABLE
    if reply.is_permanent and may_be_final and not _means_too_many(reply, stage):
        return Bounced(reply, scope)
    return Deferred(reply, scope)


def turned_away(reply: Reply, stage: SmtpStage) -> Deferred:
    """The outcome for all recipients when a host turns us away: never final."""
    return Deferred(reply, scope_of(reply, stage))


def _means_too_many(reply: Reply, stage: SmtpStage) -> bool:
    # RFC 5321 section 4.5.3.1.10: RFC 821 listed 552 for "too many recipients"; a client
    # should treat a 552 to RCPT as temporary. One that is clear about its reason stays.
    if stage is not SmtpStage.RCPT:
        return False
    bare_552 = reply.code == _FULL_OR_TOO_MANY and _enhanced(reply) is None
    return bare_552 or reply.enhanced == "5.5.3"


def scope_of(reply: Reply, stage: SmtpStage) -> Scope:
    """How much of the work a refusal speaks for."""
    scope = _scope_said(reply, stage)
    if scope is Scope.RECIPIENT and stage is SmtpStage.MAIL:
        return Scope.SENDER  # no recipient was named yet: the address meant is ours
    if scope in (Scope.RECIPIENT, Scope.HOST, Scope.MESSAGE) and speaks_of_policy(reply.text):
        return Scope.SENDER
    return scope


def _scope_said(reply: Reply, stage: SmtpStage) -> Scope:
    enhanced = _enhanced(reply)
    if enhanced is not None and (known := _scope_of_enhanced(*enhanced)):
        # Hosts that turn us away before RCPT may do so for our address, never for a mailbox.
        if stage in _ABOUT_HOSTS or reply.code == SERVICE_CLOSING:
            return known if known is Scope.SENDER else Scope.HOST
        return known
    if stage in _ABOUT_HOSTS or reply.code == SERVICE_CLOSING:
        return Scope.HOST
    return _scope_of_code(reply, stage)


def _enhanced(reply: Reply) -> tuple[int, int] | None:
    """Subject and detail of the enhanced code, None when it says nothing (X.0.0, X.5.0)."""
    if reply.enhanced is None:
        return None
    _, subject, detail = (int(part) for part in reply.enhanced.split("."))
    return None if (subject, detail) in {(0, 0), (5, 0)} else (subject, detail)


# RFC 3463 and the IANA registry of enhanced codes: (subject, detail), then subject alone.
_SCOPE_BY_DETAIL = {
    (1, 2): Scope.SITE,  # bad destination system address
    (1, 7): Scope.SENDER,  # bad sender's mailbox address syntax
    (1, 8): Scope.SENDER,  # bad sender's system address
    (1, 9): Scope.SITE,  # relayed to a non-compliant mailer
    (1, 10): Scope.SITE,  # recipient's domain has a null MX
    (2, 2): Scope.MESSAGE,  # mailbox full: the address is good, a later message may fit
    (2, 3): Scope.MESSAGE,  # longer than this mailbox takes
    (3, 4): Scope.MESSAGE,  # longer than this system takes
    (3, 6): Scope.MESSAGE,  # requested priority was changed
    (4, 6): Scope.SITE,  # routing loop
    (5, 3): Scope.RECIPIENT,  # too many recipients: this one was one too many
    (7, 13): Scope.RECIPIENT,  # user account disabled
    (7, 17): Scope.RECIPIENT,  # mailbox owner has changed
}
_SCOPE_BY_SUBJECT = {
    1: Scope.RECIPIENT,  # address
    2: Scope.RECIPIENT,  # mailbox
    3: Scope.HOST,  # mail system
    4: Scope.HOST,  # network and routing
    5: Scope.HOST,  # protocol
    6: Scope.MESSAGE,  # content
    7: Scope.SENDER,  # security and policy
}


def _scope_of_enhanced(subject: int, detail: int) -> Scope | None:
    return _SCOPE_BY_DETAIL.get((subject, detail)) or _SCOPE_BY_SUBJECT.get(subject)


# RFC 5321 section 4.2.3 for RCPT: codes about the mailbox, and others.
_SCOPE_OF_RCPT = {
    500: Scope.HOST,
    501: Scope.HOST,
    502: Scope.HOST,
    503: Scope.HOST,
    504: Scope.HOST,
    521: Scope.SITE,  # host accepts no mail (RFC 7504)
    530: Scope.SENDER,  # authentication or TLS required
    535: Scope.SENDER,
    554: Scope.SENDER,  # "transaction failed": mostly policy, so never a reason to suppress
    555: Scope.HOST,
    556: Scope.SITE,  # domain accepts no mail (RFC 7504)
}


def _scope_of_code(reply: Reply, stage: SmtpStage) -> Scope:
    """The scope of a reply without a telling enhanced code."""
    if reply.is_success or reply.is_intermediate:
        return Scope.HOST  # out of step: says nothing about our mail
    if stage is SmtpStage.RCPT:
        if reply.is_permanent and says_no_such_user(reply.text):
            return Scope.RECIPIENT
        return _SCOPE_OF_RCPT.get(reply.code, Scope.RECIPIENT)
    if reply.code == _NO_STORAGE:
        return Scope.HOST
    if stage is SmtpStage.MAIL and reply.code != _FULL_OR_TOO_MANY:
        return Scope.SENDER
    return Scope.MESSAGE


_ADDRESSES = re.compile(r"\S+@\S+")
_POLICY = re.compile(
    r"\b(?:polic(?:y|ies)|block(?:ed|ing|list(?:ed)?)?|black-?list(?:ed)?|deny-?list(?:ed)?"
    r"|spam\w*|unsolicited|bulk mail|reputation|dnsbl|rbl|zen|abus(?:e|ive)|banned"
    r"|spf|dkim|dmarc|ptr|reverse dns|rdns|access denied|relay(?:ing)? (?:access )?denied"
    r"|unable to relay|not permitted|not allowed|not authori[sz]ed|authentication required"
    r"|rate limit(?:ed)?|throttl(?:ed|ing)|too many (?:connections|messages|errors))\b",
    re.IGNORECASE,
)
_NO_SUCH_USER = re.compile(
    r"\b(?:no such (?:user|mailbox|recipient|address|account|person)"
    r"|(?:unknown|invalid) (?:user|mailbox|recipient|account|local[ -]?part)"
    r"|(?:user|mailbox|recipient|account|address)(?: \S+){0,3}? (?:unknown|not found|unavailable)"
    r"|(?:user|mailbox|recipient|account|address)(?: \S+){0,5}? (?:does(?: not|n't)|not) exist"
    r"|doesn't have an? \S+ account)\b",
    re.IGNORECASE,
)


def speaks_of_policy(text: str) -> bool:
    """Whether a refusal's text is about reputation, blocking or rules: about us, not a mailbox."""
    # An address in the text ("<spam@example.com>: unknown") must not be read as a word.
    return _POLICY.search(_ADDRESSES.sub("", text)) is not None


def says_no_such_user(text: str) -> bool:
    """Whether a refusal's text says literally that the mailbox does not exist."""
    return _NO_SUCH_USER.search(text) is not None


def unreachable(reason: str) -> Deferred:
    """No conversation could be started with the host."""
    return Deferred(Reply(451, reason, "4.4.1"), Scope.HOST)


def interrupted(stage: SmtpStage | None, reason: str) -> Deferred:
    """The conversation broke off before the message was handed over."""
    where = f" while waiting for the reply to {stage}" if stage else ""
    return Deferred(Reply(451, f"{reason}{where}", "4.4.2"), Scope.HOST)


def not_encrypted(reason: str) -> Deferred:
    """The route requires TLS and this host offers none."""
    return Deferred(Reply(451, reason, "4.7.4"), Scope.HOST)


def unanswered(reason: str) -> Uncertain:
    """The conversation broke off between the final dot and its reply (RFC 1047)."""
    return Uncertain(
        Reply(451, f"{reason} while waiting for the reply to {SmtpStage.DOT}", "4.4.2")
    )


def unsendable(code: int, enhanced: str, text: str) -> Bounced:
    """We refuse to send the message, or the host has no way to take it."""
    return Bounced(Reply(code, text, enhanced), Scope.MESSAGE)
