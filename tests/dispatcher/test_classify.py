"""What replies mean: the table of outcomes and scopes."""

import pytest

from dispatcher.core.classify import classify_refusal, classify_reply, turned_away
from posthouse.answers import Stage
from posthouse.mail.outcome import Bounced, Deferred, Delivered
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

B, D = Bounced, Deferred


def reply(text: str) -> Reply:
    return Reply.from_lines(int(text[:3]), (text[4:],))


@pytest.mark.parametrize(
    ("stage", "text", "kind", "scope"),
    [
        # The mailbox: the only rows that may suppress are Bounced with recipient scope.
        (Stage.RCPT, "550 5.1.1 no such user", B, Scope.RECIPIENT),
        (Stage.RCPT, "550 5.1.1 <spam@mx.example>: unknown in table", B, Scope.RECIPIENT),
        (Stage.RCPT, "550 no such user here", B, Scope.RECIPIENT),
        (Stage.RCPT, "550", B, Scope.RECIPIENT),
        (Stage.RCPT, "551 user not local", B, Scope.RECIPIENT),
        (Stage.RCPT, "553 5.1.3 bad address syntax", B, Scope.RECIPIENT),
        (Stage.RCPT, "550 5.2.1 mailbox disabled", B, Scope.RECIPIENT),
        (Stage.RCPT, "550 5.1.6 mailbox has moved", B, Scope.RECIPIENT),
        (Stage.RCPT, "550 5.5.0 mailbox unavailable", B, Scope.RECIPIENT),
        (Stage.RCPT, "550 5.0.0 user unknown", B, Scope.RECIPIENT),
        (Stage.RCPT, "554 user does not exist", B, Scope.RECIPIENT),
        (Stage.RCPT, "525 5.7.13 user account disabled", B, Scope.RECIPIENT),
        (Stage.RCPT, "450 4.2.1 mailbox busy", D, Scope.RECIPIENT),
        (Stage.RCPT, "450 4.2.2 mailbox full", D, Scope.MESSAGE),
        (Stage.RCPT, "451 try again later", D, Scope.RECIPIENT),
        (Stage.DOT, "550 5.1.1 no such user after all", B, Scope.RECIPIENT),
        # The mailbox is good, only this message does not fit.
        (Stage.RCPT, "552 5.2.2 over quota", B, Scope.MESSAGE),
        (Stage.RCPT, "552 5.2.3 longer than this user wants", B, Scope.MESSAGE),
        (Stage.RCPT, "552 5.3.4 too big", B, Scope.MESSAGE),
        (Stage.MAIL, "552 too big", B, Scope.MESSAGE),
        (Stage.DOT, "552 too big", B, Scope.MESSAGE),
        (Stage.DOT, "554 5.6.0 broken MIME", B, Scope.MESSAGE),
        (Stage.DOT, "554 no", B, Scope.MESSAGE),
        (Stage.DOT, "451 no", D, Scope.MESSAGE),
        # Too many recipients is temporary, even as 552 (RFC 5321 section 4.5.3.1.10).
        (Stage.RCPT, "552 too many recipients", D, Scope.RECIPIENT),
        (Stage.RCPT, "452 4.5.3 too many recipients", D, Scope.RECIPIENT),
        (Stage.RCPT, "550 5.5.3 too many recipients", D, Scope.RECIPIENT),
        # Policy, reputation and blocks are about us, whatever the code.
        (Stage.RCPT, "550 5.7.1 unable to relay", B, Scope.SENDER),
        (Stage.RCPT, "550 blocked using zen.spamhaus.org", B, Scope.SENDER),
        (Stage.RCPT, "550 your host is blacklisted", B, Scope.SENDER),
        (Stage.RCPT, "550 5.1.1 rejected by our spam filter", B, Scope.SENDER),
        (Stage.RCPT, "550 5.1.0 sender rejected by policy", B, Scope.SENDER),
        (Stage.RCPT, "550 5.4.1 Recipient address rejected: Access denied", B, Scope.RECIPIENT),
        (Stage.RCPT, "554 transaction failed", B, Scope.SENDER),
        (Stage.MAIL, "530 5.7.0 must issue STARTTLS first", D, Scope.SENDER),
        (Stage.RCPT, "530 authenticate first", D, Scope.SENDER),
        (Stage.RCPT, "450 4.7.1 greylisted", D, Scope.SENDER),
        (Stage.DOT, "554 5.7.1 spam message rejected", B, Scope.SENDER),
        (Stage.DOT, "550 high probability of spam", B, Scope.SENDER),
        (Stage.DOT, "421 4.7.0 rate limited", D, Scope.SENDER),
        (Stage.MAIL, "550 sender unknown", B, Scope.SENDER),
        (Stage.MAIL, "550 5.1.1 no such user", B, Scope.SENDER),
        (Stage.MAIL, "553 5.1.8 domain of sender does not resolve", B, Scope.SENDER),
        (Stage.RCPT, "553 5.1.7 bad sender", B, Scope.SENDER),
        (Stage.MAIL, "451 4.7.24 SPF validation error", D, Scope.SENDER),
        # Words that say that it passes count more than a 5yz; a code alone does not say so.
        (Stage.RCPT, "550 greylisted, come back later", D, Scope.SENDER),
        (Stage.RCPT, "550 4.2.2 mailbox full", D, Scope.MESSAGE),
        (Stage.DOT, "554 try again later", D, Scope.MESSAGE),
        (Stage.RCPT, "551 5.3.0 unknown error", B, Scope.HOST),
        (Stage.RCPT, "550 5.4.4 no", B, Scope.SITE),
        (Stage.RCPT, "550 Mailbox not available", B, Scope.RECIPIENT),
        # The host.
        (Stage.MAIL, "452 system storage exceeded", D, Scope.HOST),
        (Stage.MAIL, "452 4.3.1 queue full", D, Scope.HOST),
        (Stage.RCPT, "421 4.3.2 shutting down", D, Scope.HOST),
        (Stage.RCPT, "421 4.2.1 too many connections for this mailbox", D, Scope.SENDER),
        (Stage.DATA, "421 bye", D, Scope.HOST),
        (Stage.DOT, "452 4.3.1 disk full", D, Scope.HOST),
        (Stage.DOT, "451 4.3.0 local error", D, Scope.HOST),
        (Stage.RCPT, "503 bad sequence", B, Scope.HOST),
        (Stage.RCPT, "501 5.5.4 bad parameter", B, Scope.HOST),
        (Stage.DATA, "250 what?", D, Scope.HOST),
        (Stage.RCPT, "354 what?", D, Scope.HOST),
        # The site.
        (Stage.RCPT, "550 5.1.2 bad destination system", B, Scope.SITE),
        (Stage.RCPT, "556 domain accepts no mail", B, Scope.SITE),
        (Stage.RCPT, "521 host accepts no mail", B, Scope.SITE),
        (Stage.RCPT, "550 5.1.10 null MX", B, Scope.SITE),
        (Stage.DOT, "554 5.4.6 too many hops", B, Scope.SITE),
    ],
)
def test_refused(stage: Stage, text: str, kind: type[Bounced | Deferred], scope: Scope) -> None:
    assert kind(reply(text), scope) == classify_refusal(reply(text), stage)


@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.EHLO, Stage.HELO, Stage.RSET, Stage.QUIT])
@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("554 no SMTP service here", Scope.HOST),
        ("550 5.1.1 nonsense at this point", Scope.HOST),
        ("550 5.6.0 nonsense at this point", Scope.HOST),
        ("421 4.3.2 too busy", Scope.HOST),
        ("554 5.7.1 client host blocked", Scope.SENDER),
        ("554 your IP has a poor reputation", Scope.SENDER),
    ],
)
def test_nothing_said_before_mail_is_final(stage: Stage, text: str, scope: Scope) -> None:
    expected = Deferred(reply(text), scope)

    assert expected == turned_away(reply(text), stage)
    assert expected == classify_refusal(reply(text), stage)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.DOT])
def test_only_the_reply_to_the_dot_delivers(stage: Stage) -> None:
    assert not isinstance(classify_reply(Reply(250, "Ok", "2.0.0"), stage), Delivered)


def test_a_success_to_the_dot_delivers() -> None:
    ok = Reply(250, "queued", "2.0.0")

    assert Delivered(ok) == classify_reply(ok, Stage.DOT)


def test_refused_never_answers_success() -> None:
    ok = Reply(250, "queued", "2.0.0")

    assert Deferred(ok, Scope.HOST) == classify_refusal(ok, Stage.DOT)


def test_one_reply_for_several_recipients_condemns_none_of_them() -> None:
    unknown = Reply(550, "no such user", "5.1.1")

    assert Bounced(unknown, Scope.MESSAGE) == classify_reply(unknown, Stage.DOT, recipients=2)
    assert Bounced(unknown, Scope.RECIPIENT) == classify_reply(unknown, Stage.DOT, recipients=1)
