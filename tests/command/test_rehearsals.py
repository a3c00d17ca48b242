"""Messages that are run through the real decisions, without being sent."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from command.rehearsal import Letter, read_letter
from command.rehearser import assumed_session, letter_of
from ingest.core.admission import first_decision
from ingest.core.refusals import Refusal
from ingest.core.resubmission import known_again
from ingest.session_facts import KnownFacts
from posthouse.profiles import resolve
from posthouse.running.identity import new_id
from posthouse.store.accounts import AccountStore
from servers.admitting import facts_for, incoming
from servers.posthouse_command import Run
from servers.stores import a_submission, open_stores

Command: TypeAlias = Callable[..., Run]

MAXEMAIL = """\
From: Oxford Stones <newsletters@oxfordstones.example>
To: jo@there.example
Cc: cy@there.example
Subject: Stones
X-Mxm-Tag: order, confirmation
X-Mxm-Flags: 3
X-Priority: 1

Hello
"""

PLAIN = "From: jo@a.example\nTo: al@there.example\nMessage-ID: <1@a.example>\n\nx\n"
GERMAN = f"Subject: Gr\u00fc\u00dfe\n{PLAIN}"


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    path = tmp_path / "mail.eml"
    path.write_text(MAXEMAIL)
    return path


@pytest.fixture
def shop(posthouse: Command) -> str:
    """A user of an account that has a domain and a recipient on its list."""
    added = ("--account", "shop", "--onboarding", "trusted")
    posthouse("domain", "add", "oxfordstones.example", *added)
    posthouse("suppression", "add", "bo@there.example", "--account", "shop")
    posthouse(
        "credential", "create", "--account", "shop", "--username", "shop-1", "--profile", "maxemail"
    )
    return "shop-1"


def test_explain_message_says_what_each_rule_and_step_does(
    posthouse: Command, shop: str, mail: Path
) -> None:
    recipients = ("jo@there.example", "bo@there.example", "cy@there.example")
    to = [part for address in recipients for part in ("--to", address)]
    sender = ("--sender", "outgoing@oxfordstones.example")
    asked = ("explain", "message", str(mail), "--credential", shop, *sender, *to)
    told: dict[str, Any] = json.loads(posthouse(*asked, "--json").stdout)
    assert told["profile"] == "maxemail, revision 1"
    assert told["result"] == "accepted and sent"
    assert told["recipients"] == [
        {"address": "jo@there.example", "kind": "to", "copy": "yes"},
        {"address": "bo@there.example", "kind": "bcc", "copy": "suppressed: manual list"},
        {"address": "cy@there.example", "kind": "", "copy": "discarded by M13"},
    ]
    assert told["lane"] == "normal"
    assert [signed.partition(".")[2] for signed in told["signed"]] == [
        "_domainkey.oxfordstones.example"
    ] * 2
    assert told["first_attempt"] == ["at once, there.example: its MX"]
    said = posthouse(*asked).stdout
    assert "      tags: order, confirmation\n" in said
    assert "      + From: Oxford Stones <outgoing@oxfordstones.example>\n" in said
    assert "      - X-Mxm-Flags: 3\n" in said
    assert "      left out: bo@there.example\n" in said


def test_explain_message_says_why_a_message_is_refused(
    posthouse: Command, shop: str, mail: Path
) -> None:
    asked = ("explain", "message", str(mail), "--credential", shop)
    at_mail = posthouse(*asked, "--sender", "jo@elsewhere.example").stdout
    assert "result: refused: 550 5.7.1" in at_mail
    not_to = posthouse(*asked, "--to", "cy@there.example").stdout
    assert "refused: 550 5." in not_to
    assert "preparation:" not in not_to
    assert "give FILE and --credential, or --id" in posthouse("explain", "message", status=2).stderr
    nobody = posthouse("explain", "message", str(mail), "--credential", "nobody", status=1).stderr
    assert "there is no active user called 'nobody'" in nobody


def test_explain_message_says_what_is_kept_in_the_sandbox(
    posthouse: Command, shop: str, tmp_path: Path
) -> None:
    mail = tmp_path / "try.eml"
    mail.write_text("From: jo@sandbox.example\nTo: jo@there.example\nSubject: Try\n\nHello\n")
    asked = ("explain", "message", str(mail), "--credential", shop, "--to", "jo@there.example")
    sender = ("--sender", "jo@sandbox.example")
    environ = {"POSTHOUSE_SANDBOX_DOMAIN": "sandbox.example"}
    told = json.loads(posthouse(*asked, *sender, "--json", **environ).stdout)
    assert "accepted, and kept in the sandbox" == told["result"]
    assert ["kept in the sandbox"] == [each["copy"] for each in told["recipients"]]
    assert "terms: none -> sandbox, at most 5" in [
        change for rule in told["admission"] for change in rule["changes"]
    ]


@pytest.fixture
def user(posthouse: Command) -> str:
    """A user of `native` whose messages are known again, of an account with a domain."""
    posthouse("domain", "add", "a.example", "--account", "shop", "--onboarding", "trusted")
    created = ("credential", "create", "--account", "shop", "--username", "u")
    posthouse(*created, "--resubmission", "on")
    return "u"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.eml"
    path.write_text(PLAIN)
    return path


def test_explain_message_says_who_hears_what_of_it(
    posthouse: Command, user: str, plain: Path
) -> None:
    """Parameters are given as in the commands, and read as our server reads them."""
    asked = ("explain", "message", str(plain), "--credential", user, "--sender")
    al = ("--to", "al@there.example NOTIFY=SUCCESS,DELAY ORCPT=rfc822;al+2B1@there.example")
    cy = ("--to", "<cy@there.example> NOTIFY=NEVER")
    sender = "<jo@a.example> RET=FULL ENVID=QQ+2B1"
    assert (
        "reports to jo@a.example (RET=FULL ENVID=QQ+2B1):\n"
        "  al@there.example: success, delay"
        " (NOTIFY=SUCCESS,DELAY ORCPT=rfc822;al+2B1@there.example)\n"
        "  cy@there.example: nothing (NOTIFY=NEVER)\n"
    ) in posthouse(*asked, sender, *al, *cy).stdout
    usual = posthouse(*asked, "jo@a.example").stdout
    assert "reports to jo@a.example:\n  al@there.example: failure\n" in usual
    assert "reports: none, because it is from <>\n" in posthouse(*asked, "<>").stdout
    wrong = posthouse(*asked, "jo@a.example", "--to", "a@b.example NOTIFY=NO", status=1).stderr
    assert "our server would answer 501 5.5.4" in wrong
    posthouse("account", "set", "shop", "--no-dsn")
    told = json.loads(posthouse(*asked, sender, *al, "--json").stdout)
    assert {
        "to": "jo@a.example",
        "asked": "RET=FULL ENVID=QQ+2B1",
        "none_because": "the account has turned them off",
        "recipients": [{"address": "al@there.example", "of": [], "asked": al[1][17:]}],
    } == told["reports"]


async def test_explain_message_says_whether_it_is_a_repeat(
    posthouse: Command, database: str, user: str, plain: Path
) -> None:
    """By the key that the relay itself would make of it."""
    asked = ("explain", "message", str(plain), "--credential", user)
    said = posthouse(*asked).stdout
    assert "submitted again: on: known by its octets for 60 min\nlane: " in said
    async with open_stores(database) as stores:
        login = await AccountStore(stores.database).login(user)
        assert login is not None
        facts = KnownFacts(1_000_000, 65_536).of(login)
        header, _, body = PLAIN.replace("\n", "\r\n").encode().partition(b"\r\n\r\n")
        message = incoming(header, facts)
        accepted = a_submission(
            account_id=login.account_id,
            credential_id=login.credential_id,
            recipients=message.recipients,
            sender=message.sender,
            header=message.head.octets,
            terms=known_again(message, body, first_decision(message), timedelta(hours=1)).terms,
        )
        await stores.submissions.accept(accepted)
    said = posthouse(*asked).stdout
    assert f"\n  it is a repeat of {accepted.id.hex}, which counts until 20" in said
    again = posthouse("explain", "message", "--id", accepted.id.hex).stdout
    assert "\nsubmitted again: on, for 60 min\nlane: " in again
    posthouse("credential", "set", user, "--resubmission", "off")
    assert "\nsubmitted again: off: each time another message\n" in posthouse(*asked).stdout


@pytest.fixture
def german(tmp_path: Path) -> Path:
    path = tmp_path / "german.eml"
    path.write_text(GERMAN)
    return path


async def test_explain_message_leaves_text_in_utf8_to_who_asked_for_it(
    posthouse: Command, database: str, user: str, german: Path
) -> None:
    asked = ("explain", "message", str(german), "--credential", user, "--sender")
    encoded = "+ Subject: =?utf-8?"
    assert encoded in posthouse(*asked, "jo@a.example").stdout
    assert encoded not in posthouse(*asked, "<jo@a.example> SMTPUTF8").stdout
    async with open_stores(database) as stores:
        login = await AccountStore(stores.database).login(user)
        assert login is not None
        accepted = a_submission(
            account_id=login.account_id,
            credential_id=login.credential_id,
            sender="jo@a.example",
            smtputf8=True,
            header=GERMAN.partition("\n\n")[0].replace("\n", "\r\n").encode() + b"\r\n\r\n",
        )
        await stores.submissions.accept(accepted)
    again = posthouse("explain", "message", "--id", accepted.id.hex).stdout
    assert "result: accepted and sent" in again
    assert encoded not in again


def test_explain_message_says_by_which_key_of_its_client_it_is_known(
    posthouse: Command, user: str, plain: Path
) -> None:
    plain.write_text(f"X-Posthouse-Idempotency-Key: order-1\n{PLAIN}")
    asked = ("explain", "message", str(plain), "--credential", user)
    told = json.loads(posthouse(*asked, "--json").stdout)["submitted_again"]
    assert {
        "mode": "on",
        "window_minutes": 60.0,
        "known_by": "key",
        "key": "order-1",
        "counts_for_minutes": 1440.0,
        "accepted_before": None,
        "known_until": None,
    } == told
    assert "submitted again: known by its key order-1 for 1440 min\n" in posthouse(*asked).stdout


async def test_backtest_shows_what_a_changed_profile_would_do(
    posthouse: Command, database: str, shop: str
) -> None:
    """Nothing is written; what has no header any more is counted."""
    async with open_stores(database) as stores:
        login = await AccountStore(stores.database).login(shop)
        assert login is not None
        for number in range(3):
            await stores.submissions.accept(
                a_submission(
                    account_id=login.account_id,
                    credential_id=login.credential_id,
                    id=new_id(),
                    sender="outgoing@oxfordstones.example",
                    recipients=("jo@there.example",),
                    profile="maxemail",
                    header=MAXEMAIL.partition("\n\n")[0].replace("\n", "\r\n").encode()
                    + b"\r\nX-Number: %d\r\n\r\n" % number,
                )
            )
        stored = await stores.sql("SELECT id FROM submissions ORDER BY id LIMIT 1")
    told = json.loads(posthouse("explain", "message", "--id", stored[0]["id"].hex, "--json").stdout)
    assert ("maxemail, revision 1", "accepted and sent") == (told["profile"], told["result"])
    unknown = posthouse("explain", "message", "--id", new_id().hex, status=1).stderr
    assert "or it is not kept any more" in unknown
    same = json.loads(posthouse("backtest", "--since", "1h", "--json").stdout)
    assert same == {"counted": {"the same": 3}, "messages": []}
    changed = ("--set", "sender.from_policy=keep", "--since", "1h")
    found = json.loads(posthouse("backtest", *changed, "--json").stdout)
    assert found["counted"] == {"different": 3}
    assert (
        "+ From: Oxford Stones <newsletters@oxfordstones.example>"
        in found["messages"][0]["differences"]
    )
    refused = posthouse("backtest", "--profile", "episerver", "--since", "1h").stdout
    assert "result: accepted -> refused: 550 5.6.0" in refused
    assert refused.endswith("3 different\n")
    bad = posthouse("backtest", "--since", "soon", status=2).stderr
    assert "'soon' is no time in ISO 8601, nor as 12h or 3d" in bad
    async with open_stores(database) as stores:
        assert {1} == {
            claimed.claims for claimed in (await stores.submissions.claim(10)).submissions
        }


async def test_explain_message_decides_as_ingest_would_about_one_of_another_profile(
    posthouse: Command, database: str, user: str
) -> None:
    """Its user sends by a profile now that opens no senders, and the operator opens none."""
    posthouse("domain", "add", "bank.example", "--account", "bank", "--onboarding", "trusted")
    ids = {}
    async with open_stores(database) as stores:
        login = await AccountStore(stores.database).login(user)
        assert login is not None
        for domain in ("bank.example", "free.example", "sandbox.example"):
            header = f"From: jo@{domain}\r\nTo: al@there.example\r\nSubject: x\r\n\r\n".encode()
            accepted = a_submission(
                account_id=login.account_id,
                credential_id=login.credential_id,
                id=new_id(),
                sender=f"jo@{domain}",
                recipients=("al@there.example",),
                profile="mailup",
                header=header,
            )
            await stores.submissions.accept(accepted)
            ids[domain] = accepted.id.hex
    environ = {"POSTHOUSE_SANDBOX_DOMAIN": "sandbox.example"}

    def result(domain: str, **more: str) -> str:
        asked = ("explain", "message", "--id", ids[domain], "--json")
        return str(json.loads(posthouse(*asked, **environ, **more).stdout)["result"])

    assert result("bank.example").startswith("refused: 550 5.7.1 bank.example belongs to another")
    assert "accepted and sent" == result("free.example")
    closed = result("free.example", POSTHOUSE_UNVERIFIED_SENDERS="refused")
    assert closed.startswith("refused: 550 5.7.1 ")
    assert "accepted, and kept in the sandbox" == result("sandbox.example")


def test_migrate_rehearse_shows_what_the_old_dialect_did(
    posthouse: Command, tmp_path: Path
) -> None:
    mbox = tmp_path / "old.mbox"
    mbox.write_text(
        "From jo@a.example Mon Nov 30 10:00:00 2026\n"
        "From: jo@a.example\nTo: al@there.example\nSubject: one\n"
        'X-MT-ATTR: {"cc": ["cy@there.example"]}\n\nHello\n\n'
        "From jo@a.example Mon Nov 30 10:00:00 2026\n"
        "From: jo@a.example\nTo: al@there.example\nSubject: two\n\nHello\n\n"
        "From jo@a.example Mon Nov 30 10:00:00 2026\nSubject: three\n\nHello\n"
    )
    said = posthouse("migrate-rehearse", "--from", "mailtarget", str(mbox)).stdout
    assert "message 1:\n    recipient cy@there.example: cc -> none\n" in said
    assert "    - Cc: cy@there.example\n" in said
    assert "message 2" not in said
    assert "message 3:\n    not read: the message names no sender" in said
    assert said.endswith("1 different, 1 the same\n")


@pytest.mark.parametrize(("octets", "is_taken"), [(998, True), (999, False)])
def test_a_line_that_the_door_refuses_is_refused(octets: int, *, is_taken: bool) -> None:
    content = b"From: jo@a.example\r\n\r\n" + b"x" * octets + b"\r\n"
    letter = Letter(content, "jo@a.example", ("al@there.example",), len(content))
    found = read_letter(
        letter, facts_for("native", conformance__long_lines="require"), datetime.now(UTC)
    )
    said = str(found.reply) if isinstance(found, Refusal) else ""
    assert said.startswith("" if is_taken else "550 5.6.0 A line is longer than 998 octets")
    assert is_taken is not isinstance(found, Refusal)


NOW = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
NOTE = "From: Jo <jo@a.example>\nTo: al@there.example\nAuto-Submitted: auto-replied\n\nAway\n"


@pytest.mark.parametrize(
    ("content", "sender", "found"),
    [
        (NOTE, None, "jo@a.example"),
        (NOTE, "<>", ""),
        (f"Return-Path: <>\n{NOTE}", None, ""),
        (f"Return-Path: <>\n{NOTE}", "jo@a.example", "jo@a.example"),
    ],
)
def test_mail_from_the_null_reverse_path_is_rehearsed(
    content: str, sender: str | None, found: str
) -> None:
    letter = letter_of(content.encode(), sender, ())
    assert found == letter.sender
    assert not isinstance(read_letter(letter, facts_for("native"), NOW), Refusal)
    refused = read_letter(letter, facts_for("maxemail"), NOW)
    assert (found == "") is isinstance(refused, Refusal)
    assert {"a.example"} == assumed_session(resolve("native"), letter).domains
