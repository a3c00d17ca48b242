"""`posthouse explain reply` says what the judge of answers decides."""

import json

from click.testing import CliRunner

from command.cli import posthouse


def explained(*arguments: str, given: str | None = None) -> str:
    run = CliRunner().invoke(
        posthouse, ["explain", "reply", *arguments], input=given, catch_exceptions=False
    )
    assert run.exit_code == 0
    return run.output


def test_it_says_class_rule_and_why() -> None:
    lines = explained("550 5.1.1 Mailbox full", "--stage", "rcpt").splitlines()
    assert lines[0].split() == ["class", "mailbox", "full"]
    assert "suppresses no" in lines
    assert "rule       mailbox full" in lines
    assert any(line.startswith("why ") for line in lines)


def test_json_has_the_same() -> None:
    facts = json.loads(explained("550 no such user", "--json"))
    assert facts["class"] == "no such mailbox"
    assert facts["suppresses"] is True
    assert facts["code"] == 550
    assert facts["enhanced"] == []


def test_stage_and_recipients_count() -> None:
    said = "550 5.1.1 no such user"
    assert json.loads(explained(said, "--stage", "dot", "--json"))["suppresses"] is True
    several = explained(said, "--stage", "dot", "--recipients", "2", "--json")
    assert json.loads(several)["suppresses"] is False


def test_several_lines_come_from_standard_input_or_as_escapes() -> None:
    lines = "550-Verification failed\n550-No such user\n550 Sender verify failed\n"
    escaped = lines.rstrip().replace("\n", "\\n")
    for output in (explained("-", "--json", given=lines), explained(escaped, "--json")):
        assert json.loads(output)["class"] == "sender verification"


def test_a_status_of_a_report_counts() -> None:
    output = explained("smtp; 550 User unknown", "--stage", "report", "--status", "4.1.1", "--json")
    assert json.loads(output)["permanent"] is False


def test_what_was_said_is_not_printed_raw() -> None:
    assert "\x1b" not in explained("550 \x1b[2Jno such user")
