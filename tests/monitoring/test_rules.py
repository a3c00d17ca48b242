"""Rules and alerts: valid, tested by promtool, explained, and of metrics that there are."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from monitoring.known_metrics import series_names
from monitoring.promtool import need_prometheus

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "rules"
RUNBOOKS = ROOT / "docs/runbooks"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
SECTIONS = ["Symptom", "First look", "Cause", "Mend", "How to be sure"]

ALERTS = (RULES / "alerts.yml").read_text().split("      - alert: ")[1:]
NAMES = sorted({alert.split("\n", 1)[0] for alert in ALERTS})
RECORDED = set(re.findall(r"record: (\S+)", (RULES / "recording.yml").read_text()))
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def test_promtool_understands_configuration_and_rules() -> None:
    need_prometheus()
    promtool("check", "config", "prometheus.yml")  # and its rules
    promtool("check", "rules", "--lint-fatal", *RULES.glob("*.yml"))


@pytest.mark.parametrize("page", TESTS, ids=lambda page: page.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(page: Path) -> None:
    need_prometheus()
    promtool("test", "rules", page)


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires: dict[str, set[bool]] = defaultdict(set)
    for case in (case for page in TESTS for case in page.read_text().split("  - name: ")[1:]):
        found = re.search(r'ALERTS\{alertname="(\w+)"', case)
        assert found is not None, case
        fires[found[1]].add("exp_samples: []" not in case)
    assert {name: {True, False} for name in NAMES} == dict(fires)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.split("\n", 1)[0])
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    name = alert.split("\n", 1)[0]
    assert re.search(r"^        for: \d+[mh]$", alert, re.MULTILINE)
    assert re.search(r"severity: (critical|warning)\}", alert)
    assert re.search(r"summary: >-\n\s+\S+", alert)
    assert f"runbook_url: docs/runbooks/{name}.md\n" in alert


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_runbook(name: str) -> None:
    title, *sections = (RUNBOOKS / f"{name}.md").read_text().split("\n## ")
    assert f"# {name}\n" == title
    assert SECTIONS == [section.split("\n", 1)[0] for section in sections]
    assert all(section.split("\n", 1)[1].strip() for section in sections)


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    assert NAMES == sorted(page.stem for page in RUNBOOKS.glob("*.md"))


@pytest.mark.parametrize("page", [*RULES.glob("*.yml"), *TESTS, *DASHBOARDS], ids=lambda p: p.name)
def test_rules_and_dashboards_ask_for_metrics_that_there_are(page: Path) -> None:
    """Each recorded name, too, is recorded."""
    asked = set(re.findall(r"\bposthouse[_:][a-z0-9_:]+", page.read_text()))
    assert asked
    assert set() == asked - RECORDED - series_names()


def test_recorded_rules_are_used() -> None:
    text = "".join(page.read_text() for page in (RULES / "alerts.yml", *DASHBOARDS))
    assert set() == {name for name in RECORDED if name not in text}
