"""`posthouse bounce`: what a returned message means, without a database."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from bounces.core.classification import Classified, in_short
from bounces.core.classification import classify as classify_report
from bounces.core.reports.reading import read
from bounces.core.reports.report import Report, ReportKind
from command.table import print_line
from posthouse.answers import RULES_VERSION, Evidence

_LARGEST = 25 << 20  # octets of a message that are read


@click.group
def bounce() -> None:
    """Returned mail: what a message says, and why."""


@bounce.command
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; FILE may be -.")
def classify(file: str, *, as_json: bool) -> None:
    """Say what the returned message in FILE means: kind, recipients, verdict, rule and why.

    With --json and - for FILE, the names of files are read from standard input, one a line.
    """
    if as_json and file == "-":
        for line in sys.stdin:
            if name := line.rstrip("\r\n"):
                click.echo(json.dumps(_short(name)))
        return
    content = _content(file)
    if as_json:
        click.echo(json.dumps(in_short(content)))
    else:
        _print(read(content))


def _short(name: str) -> dict[str, Any]:
    """What is in the file *name*; a file that cannot be read is an answer too, on its own line."""
    try:
        return in_short(_content(name))
    except click.ClickException as error:
        return {"kind": "error", "error": error.message, "recipients": []}


def _content(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(_LARGEST)
        with Path(name).open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}") from error


def _print(report: Report) -> None:
    _line("kind", str(report.kind))
    _line("subject", report.subject)
    _line("reported by", report.reporting_mta)
    if report.feedback:
        _line("feedback", report.feedback.type)
        _line("sent from", report.feedback.original_mail_from)
        for address in report.feedback.original_recipients:
            _line("sent to", address)
    for one in classify_report(report):
        _print_recipient(one, believed=report.kind is ReportKind.DSN)
    _line("says", report.excerpt)


def _print_recipient(one: Classified, *, believed: bool) -> None:
    status, judgement = one.status, one.judgement
    print_line("")
    _line("recipient", status.address or "not named")
    _line("action", f"{status.action} {status.status}".strip())
    _line("said", status.diagnostic)
    _line("class", f"{one.word}: {judgement.kind}")
    _line("verdict", _verdict(one, believed=believed))
    _line("rule", f"{judgement.rule} (version {RULES_VERSION})")
    _line("why", judgement.why)


def _verdict(one: Classified, *, believed: bool) -> str:
    if believed and one.judgement.suppresses and one.gone:
        return "suppresses the recipient of our delivery"
    if one.judgement.evidence is not Evidence.NONE:
        return "counts against the recipient; alone it suppresses nobody"
    return "is noted; suppresses nobody"


def _line(name: str, value: str) -> None:
    if value:
        print_line(f"{name + ':':<13}{value}")
