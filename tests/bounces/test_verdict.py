"""Which failures end a recipient, as a table of codes and words."""

from dataclasses import replace

import pytest

from bounces.core.reports.report import RecipientStatus, Report, ReportKind
from bounces.core.return_record import bounce_record
from bounces.core.verdict import Note, decide, judgement_of
from posthouse.mail.address_failure import AddressFailure, FailureWeight
from posthouse.mail.dsn_action import Action
from posthouse.mail.events import EventKind
from posthouse.mail.scope import Scope
from servers.returned_mail import OURS, in_a_word


def failed(status: str, diagnostic: str) -> Report:
    return Report(ReportKind.DSN, (RecipientStatus(Action.FAILED, status, diagnostic),))


@pytest.mark.parametrize(
    ("status", "diagnostic"),
    [
        ("5.1.1", ""),
        ("5.1.1", "smtp; 550 5.1.1 <spam.trap@full.example>... User unknown"),  # only its name
        ("5.1.1", "smtp; 550 5.1.1 no such mailbox, see <https://help.example/policy>"),
        ("5.1.6", "smtp; 551 5.1.6 moved"),
        ("5.1.1", "smtp; 550 5.0.0 failed"),  # one code is vague, the other is not
        ("5.0.0", "smtp; 550 5.1.1 rejected"),
        ("5.1.0", "smtp; 550 Unknown user ann@dest.example (in reply to RCPT TO command)"),
        ("5.0.0", "smtp; 550 Mailbox [ann@dest.example] does not exist"),
        ("5.0.0", "X-Local; unknown user: ann"),
        ("5.0.0", "smtp; 550 No such account here"),
        ("5.0.0", "smtp; 554 This user doesn't have a dest.example account (ann@dest.example)"),
    ],
)
def test_a_mailbox_that_is_gone_suppresses(status: str, diagnostic: str) -> None:
    assert in_a_word(decide(failed(status, diagnostic), OURS)) == "suppress"


@pytest.mark.parametrize(
    ("status", "diagnostic"),
    [
        ("", ""),
        ("", "smtp; 550 User unknown"),  # no code at all: a report this poor is not believed
        ("5.0.0", ""),
        ("5.0.0", "smtp; 550 Rejected"),
        ("5.0.0", "smtp; 550 Requested action not taken: mailbox unavailable"),
        ("5.1.0", "smtp; 550 Unknown user ann@dest.example"),  # of a filter, after the text?
        ("5.0.0", "smtp; 550 No such user (in reply to end of DATA command)"),
        ("5.2.1", "smtp; 550 5.2.1 The account is disabled"),
        ("5.1.2", "smtp; 550 5.1.2 Host unknown"),
        ("5.1.3", "smtp; 501 5.1.3 Bad recipient address syntax"),
        ("5.1.8", "smtp; 553 5.1.8 Domain of sender address does not exist"),
        ("5.1.10", "smtp; 556 5.1.10 null MX"),
        ("5.1.1", "smtp; 550 5.7.1 Access denied"),
        ("5.1.1", "smtp; 450 4.2.1 try later"),
        ("5.1.1", "smtp; 421 busy"),
        ("5.1.1", "smtp; 550 5.1.1 Mailbox full"),
        ("5.1.1", "smtp; 550 5.1.1 Your reputation is poor"),
        ("5.1.1", "smtp; 550 5.1.1 Sender rejected"),
        ("5.2.2", "smtp; 552 5.2.2 over quota"),
        ("5.3.4", "smtp; 552 5.3.4 too big"),
        ("5.4.4", "X-Local; Host not found"),
        ("5.6.0", "smtp; 554 5.6.0 scored as spam"),
        ("5.7.1", "smtp; 550 5.7.1 User unknown"),
        ("4.1.1", "smtp; 450 4.1.1 User unknown"),
        ("5.0.0", "smtp; 550 User unknown, blocked by policy"),
    ],
)
def test_any_other_failure_is_noted_and_no_more(status: str, diagnostic: str) -> None:
    assert in_a_word(decide(failed(status, diagnostic), OURS)) == "note bounced"


@pytest.mark.parametrize(
    ("status", "diagnostic", "scope"),
    [
        ("5.1.1", "", Scope.RECIPIENT),
        ("5.1.2", "", Scope.SITE),
        ("5.1.7", "", Scope.SENDER),
        ("5.2.3", "", Scope.MESSAGE),
        ("5.3.0", "", Scope.HOST),
        ("5.5.2", "", Scope.HOST),
        ("5.7.1", "", Scope.SENDER),
        ("5.9.9", "", Scope.RECIPIENT),
        ("", "smtp; 550 5.7.1 no", Scope.SENDER),
        ("", "smtp; 550 from 5.7.1.9 you take nothing", Scope.RECIPIENT),  # an address, no code
    ],
)
def test_a_failure_speaks_for_as_much_as_its_code_says(
    status: str, diagnostic: str, scope: Scope
) -> None:
    assert scope is judgement_of(RecipientStatus(Action.FAILED, status, diagnostic)).scope


@pytest.mark.parametrize("action", [Action.DELAYED, Action.RELAYED, Action.EXPANDED])
def test_only_a_failure_suppresses_with_any_code(action: Action) -> None:
    report = Report(ReportKind.DSN, (RecipientStatus(action, "5.1.1"),))
    assert in_a_word(decide(report, OURS)) in ("note delayed", "note confirmed")


def test_the_group_about_our_recipient_counts_in_any_case() -> None:
    gone = RecipientStatus(Action.FAILED, "5.1.1", original_recipient="ANN@dest.example")
    other = RecipientStatus(Action.DELIVERED, "2.0.0", final_recipient="bob@dest.example")
    assert in_a_word(decide(Report(ReportKind.DSN, (other, gone)), OURS)) == "suppress"


def test_among_strangers_the_mildest_group_counts() -> None:
    delayed = RecipientStatus(Action.DELAYED, "4.0.0", final_recipient="x@elsewhere.example")
    full = RecipientStatus(Action.FAILED, "5.2.2", final_recipient="y@elsewhere.example")
    gone = RecipientStatus(Action.FAILED, "5.1.1", final_recipient="z@elsewhere.example")
    assert in_a_word(decide(Report(ReportKind.DSN, (gone, full, delayed)), OURS)) == "note delayed"
    assert in_a_word(decide(Report(ReportKind.DSN, (gone, full)), OURS)) == "note bounced"
    assert in_a_word(decide(Report(ReportKind.DSN, (gone, gone)), OURS)) == "note bounced"
    ours = RecipientStatus(Action.FAILED, "5.1.1", final_recipient="ann.s@dest.example")
    assert in_a_word(decide(Report(ReportKind.DSN, (ours,)), OURS)) == "suppress"


def test_a_hint_in_free_text_never_suppresses() -> None:
    hint = replace(failed("5.1.1", "550 5.1.1 user unknown"), kind=ReportKind.FREE_TEXT)
    verdict = decide(hint, OURS)
    assert isinstance(verdict, Note)
    assert verdict.scope is Scope.RECIPIENT


@pytest.mark.parametrize(
    ("words", "named", "weight"),
    [
        ("550 5.1.1 user unknown", "ann@dest.example", FailureWeight.SOFT),
        ("550 5.1.1 user unknown", "", FailureWeight.SOFT),
        ("552 mailbox full", "ann@dest.example", FailureWeight.SOFT),
        ("550 5.1.2 domain not found", "ann@dest.example", FailureWeight.SOFT),
        ("550 5.1.1 user unknown", "zed@elsewhere.example", None),
        ("550 5.7.1 refused by our policy", "ann@dest.example", None),
    ],
)
def test_free_text_counts_as_a_soft_failure_of_our_recipient(
    words: str, named: str, weight: FailureWeight | None
) -> None:
    status = RecipientStatus(Action.FAILED, "", words, final_recipient=named)
    report = Report(ReportKind.FREE_TEXT, (status,))
    record = bounce_record(OURS, report, decide(report, OURS), "192.0.2.1")
    assert record is not None
    assert record.event.kind is EventKind.BOUNCED
    against = record.against
    assert (against.weight if isinstance(against, AddressFailure) else None) is weight
