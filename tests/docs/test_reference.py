"""The tables in docs/settings.md, metrics.md, answers.md and doctor.md say what the code says.

When one of these tests fails, write the tables again and read what changed:

    POSTHOUSE_TEST_WRITE_REFERENCE=1 .venv/bin/pytest tests/docs
"""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from command.commands.config import reference
from monitoring.known_metrics import metrics
from onebox.all_settings import known_names
from posthouse.answers.rule_table import BY_CLASS, WORD_RULES
from posthouse.doctor.check_result import WHY, CheckName

DOCS = Path(__file__).parents[2] / "docs"
# Variables of OpenTelemetry that docs/traces.md names.
OTEL = set(re.findall(r"`(OTEL_[A-Z_]+)`", (DOCS / "traces.md").read_text()))
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
# Who shows what the common library counts; the longest prefix of the module's name decides.
SHOWN_BY = {
    "posthouse.running": "all",
    "posthouse.inspection": "dispatcher",
    "posthouse.broker": "all, with RabbitMQ",
    "posthouse.store.housekeeping": "all",
    "posthouse.store.queue_gauges": "all",
    "posthouse.store.connections": "all",
    "posthouse.store.account_holds": "all",
    "posthouse.store.event_feed": "bounces, webhooks",
    "posthouse.authentication": "ingest, console",
    "onebox": "up",
}


def settings_table() -> str:
    """What `posthouse config reference` prints."""
    return CliRunner().invoke(reference, catch_exceptions=False).output


def shown_by(module: str) -> str:
    service = module.partition(".")[0]
    known = [who for prefix, who in SHOWN_BY.items() if module.startswith(prefix)]
    return known[0] if known else service


def metrics_table() -> str:
    rows = [
        f"| `{name}` | {shown.kind} | {', '.join(shown.labels)} | {shown_by(shown.module)} "
        f"| {shown.meaning.rstrip('.')} |"
        for name, shown in sorted(metrics().items())
    ]
    head = "| Metric | Type | Labels | Shown by | Meaning |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows]) + "\n"


def answers_table() -> str:
    classes = [
        f"| {kind} | {what.why} | {what.scope or 'that of the command'} | {what.evidence} |"
        for kind, what in BY_CLASS.items()
    ]
    rules = [
        f"| {rule.meaning.rule} | {rule.meaning.kind} | `{rule.example}` |" for rule in WORD_RULES
    ]
    head = "| Class | Meaning | Scope | Evidence |\n| --- | --- | --- | --- |"
    second = "| Rule | Class | Example |\n| --- | --- | --- |"
    return "\n".join([head, *classes, "", second, *rules]) + "\n"


def checks_table() -> str:
    rows = [f"| `{check}` | {WHY[check]} |" for check in CheckName]
    return "\n".join(["| Check | Why it matters |", "| --- | --- |", *rows]) + "\n"


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("settings.md", settings_table),
        ("metrics.md", metrics_table),
        ("answers.md", answers_table),
        ("doctor.md", checks_table),
    ],
    ids=["settings", "metrics", "answers", "doctor"],
)
def test_the_table_is_what_the_code_says(page: str, table: object) -> None:
    assert callable(table)
    before, begin, rest = (DOCS / page).read_text().partition(BEGIN)
    written, end, after = rest.partition(END)
    assert (begin, end) == (BEGIN, END)

    wanted = table()
    if os.environ.get("POSTHOUSE_TEST_WRITE_REFERENCE"):
        (DOCS / page).write_text(f"{before}{begin}{wanted}{end}{after}")
        return
    assert wanted == written


def test_every_setting_is_handed_on_by_compose() -> None:
    file = DOCS.parent / "deploy/compose/settings.yml"
    head = file.read_text().partition("      - ")[0]
    wanted = head + "".join(f"      - {name}\n" for name in sorted({*known_names(), *OTEL}))
    if os.environ.get("POSTHOUSE_TEST_WRITE_REFERENCE"):
        file.write_text(wanted)
    assert wanted == file.read_text()


def test_every_label_is_explained_and_none_that_is_gone() -> None:
    used = {label for shown in metrics().values() for label in shown.labels}
    explained = set(
        re.findall(r"^\| `(\w+)` \|", (DOCS / "metrics.md").read_text().split(END)[1], re.MULTILINE)
    )

    assert used == explained


def test_every_metric_has_our_prefix_and_says_what_it_counts() -> None:
    for name, shown in metrics().items():
        assert name.startswith("posthouse_")
        assert shown.meaning
