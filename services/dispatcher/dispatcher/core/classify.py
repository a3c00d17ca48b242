"""The meaning of a reply: outcome and scope, by the judge of all answers and the command."""

from posthouse.answers import ABOUT_HOSTS, AnswerClass, Stage, judge, read_answer
from posthouse.mail.outcome import Bounced, Deferred, Delivered, Outcome, Uncertain
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

# "Must issue STARTTLS first", "authentication required" (RFC 3207, RFC 4954): about how this
# conversation was set up; the cause may be a passing TLS failure or the operator's mistake.
_MENDABLE = frozenset({530, 534, 535, 538})

_FULL_OR_TOO_MANY = 552

# RFC 5321 section 4.2.3: syntax errors, parameters that are not implemented or not recognized.
_ABOUT_PARAMETERS = frozenset({500, 501, 504, 555})
_WRONG_SYNTAX = frozenset({"5.5.2", "5.5.4"})  # RFC 3463 section 3.6
_WRONG_ADDRESS = "5.1."


def classify_reply(
    reply: Reply, stage: Stage, *, recipients: int = 1, provider: str = ""
) -> Outcome:
    """The outcome of a reply that can mean success: the one to the final dot."""
    if stage is Stage.DOT and reply.is_success:
        return Delivered(reply)
    return classify_refusal(reply, stage, recipients=recipients, provider=provider)


def classify_refusal(
    reply: Reply, stage: Stage, *, recipients: int = 1, provider: str = ""
) -> Deferred | Bounced:
    """The outcome of a reply that cannot mean success, whatever its code.

    Only a clear 5yz to MAIL, RCPT, DATA or the final dot bounces, and none whose words or
    enhanced code say that it will pass; an odd success or intermediate reply is as unclear as a
    4yz. *recipients* is how many the reply speaks for, *provider* whose server it is.
    """
    answer = read_answer(str(reply), stage, provider=provider, recipients=recipients)
    judged = judge(answer)
    may_be_final = stage not in ABOUT_HOSTS and reply.code not in _MENDABLE
    if judged.permanent and may_be_final and not _means_too_many(reply, stage):
        return Bounced(reply, judged.scope, answer, judged)
    return Deferred(reply, judged.scope, answer, judged)


def refuses_parameters(reply: Reply) -> bool:
    """Whether a reply to MAIL or RCPT may be about the parameters, not about the address."""
    enhanced = reply.enhanced or ""
    if not reply.is_permanent or enhanced.startswith(_WRONG_ADDRESS):
        return False
    return reply.code in _ABOUT_PARAMETERS or enhanced in _WRONG_SYNTAX


def turned_away(reply: Reply, stage: Stage) -> Deferred:
    """The outcome for all recipients when a host turns us away: never final."""
    refused = classify_refusal(reply, stage)
    return Deferred(reply, refused.scope, refused.answer, refused.judged)


def login_refused(reply: Reply) -> Deferred:
    """The relay of a route did not let us in: every host of it would say so, of any mail.

    Not judged: it says nothing about an address, and the operator has to mend it.
    """
    return Deferred(reply, Scope.SITE)


def wants_login(outcome: Outcome) -> bool:
    """Whether a relay says that it does not know us, or not well enough."""
    return isinstance(outcome, Deferred) and outcome.reply.code in _MENDABLE


def wants_tls(outcome: Outcome) -> bool:
    """Whether a host says that the conversation is not encrypted as it wants."""
    if not isinstance(outcome, Deferred | Bounced) or outcome.judged is None:
        return False
    return outcome.judged.kind is AnswerClass.TLS


def tls_may_work_again(outcome: Outcome) -> Outcome:
    """*outcome* of a message that went in clear because TLS had failed: it may go encrypted yet."""
    if isinstance(outcome, Bounced) and wants_tls(outcome):
        return Deferred(outcome.reply, outcome.scope, outcome.answer, outcome.judged)
    return outcome


def _means_too_many(reply: Reply, stage: Stage) -> bool:
    # RFC 5321 section 4.5.3.1.10: RFC 821 listed 552 for "too many recipients"; a client
    # should treat a 552 to RCPT as temporary. One with an enhanced code is clear.
    return stage is Stage.RCPT and reply.code == _FULL_OR_TOO_MANY and reply.enhanced is None


def unreachable(reason: str) -> Deferred:
    """No conversation could be started with the host."""
    return Deferred(Reply(451, reason, "4.4.1"), Scope.HOST)


def interrupted(stage: Stage | None, reason: str) -> Deferred:
    """The conversation broke off before the message was handed over."""
    where = f" while waiting for the reply to {stage}" if stage else ""
    return Deferred(Reply(451, f"{reason}{where}", "4.4.2"), Scope.HOST)


def greeted_by_ourselves() -> Deferred:
    """The host bears our own name: MX records lead mail back to us (RFC 5321 section 5.1)."""
    text = "the host greets us by our own name: mail would loop back to us"
    return Deferred(Reply(451, text, "4.4.6"), Scope.SITE)


def not_encrypted(reason: str) -> Deferred:
    """The route requires TLS, and it did not come about."""
    return Deferred(Reply(451, reason, "4.7.4"), Scope.HOST)


def unanswered(reason: str) -> Uncertain:
    """The conversation broke off between the final dot and its reply (RFC 1047)."""
    return Uncertain(Reply(451, f"{reason} while waiting for the reply to {Stage.DOT}", "4.4.2"))


def unsendable(code: int, enhanced: str, text: str) -> Bounced:
    """We refuse to send the message, or the host has no way to take it."""
    return Bounced(Reply(code, text, enhanced), Scope.MESSAGE)
