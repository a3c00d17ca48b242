"""`posthouse bounce classify`: for a person, and for a program that asks for many."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from command.cli import posthouse
from servers.returned_mail import REPORTS

REPORT = {path.stem: path for path in REPORTS}


def call(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(posthouse, ["bounce", "classify", *arguments], input=stdin)


def test_a_person_reads_kind_recipient_verdict_rule_and_why() -> None:
    lines = call(str(REPORT["user_unknown"])).output.splitlines()
    shown = dict(line.split(":", 1) for line in lines if ":" in line)
    assert shown["kind"].strip() == "dsn"
    assert shown["recipient"].strip() == "ann@dest.example"
    assert shown["class"].strip() == "hard: no such mailbox"
    assert shown["verdict"].strip() == "suppresses the recipient of our delivery"
    assert "version" in shown["rule"]
    assert shown["why"].strip()


def test_free_text_suppresses_nobody_and_says_so() -> None:
    output = call(str(REPORT["free_text"])).output
    assert "alone it suppresses nobody" in output


def test_a_complaint_shows_what_its_fields_say(tmp_path: Path) -> None:
    message = tmp_path / "complaint.eml"
    message.write_bytes(
        b"Content-Type: multipart/report; boundary=b\n\n--b\n\nhello\n--b\n"
        b"Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n"
        b"Original-Mail-From: <b+1@bounce.sender.example>\nOriginal-Rcpt-To: <ann@dest.example>\n"
        b"Reported-Domain: sender.example\n--b--\n"
    )
    output = call(str(message)).output
    assert "kind:        complaint\n" in output
    assert "sent from:   b+1@bounce.sender.example\n" in output
    assert "sent to:     ann@dest.example\n" in output


def test_a_program_gets_an_object_for_each_path_in_their_order() -> None:
    names = [str(REPORT["user_unknown"]), "/nowhere", "", str(REPORT["vacation"])]
    result = call("--json", "-", stdin="\n".join(names))
    first, second, third = map(json.loads, result.output.splitlines())
    assert first == {
        "kind": "dsn",
        "recipients": [
            {
                "address": "ann@dest.example",
                "action": "failed",
                "status": "5.1.1",
                "class": "hard",
            }
        ],
    }
    assert second["kind"] == "error"
    assert "/nowhere" in second["error"]
    assert third == {"kind": "autoreply", "recipients": []}


def test_json_of_one_file_is_one_line() -> None:
    result = call("--json", str(REPORT["mailbox_full"]))
    (recipient,) = json.loads(result.output)["recipients"]
    assert (recipient["class"], recipient["status"]) == ("soft", "5.2.2")


def test_a_file_that_cannot_be_read_is_a_clear_error() -> None:
    result = call("/nowhere")
    assert result.exit_code == 1
    assert "/nowhere cannot be read: No such file or directory" in result.output
