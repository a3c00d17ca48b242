"""Each message in reports/ beside what it has to be taken for."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bounces.core.reports.reading import read
from bounces.core.reports.report import Report
from bounces.core.verdict import Note, Suppress, decide
from servers.returned_mail import OURS, REPORTS, in_a_word


def expectation(report: Path) -> dict[str, Any]:
    wanted: dict[str, Any] = json.loads(report.with_suffix(".json").read_text())
    return wanted


def assert_recipients(wanted: list[dict[str, str]], report: Report) -> None:
    assert len(wanted) == len(report.recipients)
    for fields, status in zip(wanted, report.recipients, strict=True):
        found = asdict(status)
        assert fields == {name: found[name] for name in fields}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_a_report_is_taken_for_what_it_is(path: Path, line_end: bytes) -> None:
    wanted = expectation(path)
    report = read(path.read_bytes().replace(b"\n", line_end))
    assert wanted["kind"] == report.kind
    assert_recipients(wanted["recipients"], report)

    verdict = decide(report, OURS)
    assert wanted["verdict"] == in_a_word(verdict)
    if "class" in wanted:
        assert isinstance(verdict, Note | Suppress)
        assert verdict.judgement is not None
        assert wanted["class"] == verdict.judgement.kind
    if "scope" in wanted:
        assert isinstance(verdict, Note)
        assert wanted["scope"] == verdict.scope
    if "excerpt" in wanted:
        assert wanted["excerpt"] == report.excerpt


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_report_cut_anywhere_is_still_read(path: Path) -> None:
    """Every beginning of a message is some report; most say less, and none raises."""
    content = path.read_bytes()
    for end in range(0, len(content), 7):
        decide(read(content[:end]), OURS)


def test_every_message_has_an_expectation_that_says_why() -> None:
    assert REPORTS
    for path in REPORTS:
        assert expectation(path)["why"]
