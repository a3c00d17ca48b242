"""What the documents name is there: modules and types by their names, files by their links."""

import re
from dataclasses import fields
from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml
from _pytest.mark import ParameterSet

from posthouse.profiles.knobs import TrackingKnobs

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

PACKAGES = (
    *("posthouse", "ingest", "policy", "dispatcher", "bounces", "tracking", "webhooks", "console"),
    *("onebox", "command", "demo"),
)
# A group of knobs is called as the service of what it decides.
KNOBS = "|".join(field.name for field in fields(TrackingKnobs))
# Values of the Helm chart are called by the service that they are for, too.
VALUES = yaml.safe_load((ROOT / "deploy/helm/posthouse/values.yaml").read_text())
NAME = re.compile(rf"`(?!tracking\.(?:{KNOBS})`)((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def found(pattern: re.Pattern[str]) -> list[ParameterSet]:
    return [
        pytest.param(page, text, id=f"{page.name}:{text}")
        for page in PAGES
        for text in dict.fromkeys(pattern.findall(page.read_text()))
    ]


@pytest.mark.parametrize(("page", "name"), found(NAME))
def test_a_name_leads_to_something(page: Path, name: str) -> None:
    assert is_value(name) or resolve_name(name), page


def is_value(name: str) -> bool:
    """Whether there is a value of the chart at this path; each service has the defaults, too."""
    first, *steps = name.split(".")
    at = {**VALUES["defaults"], **VALUES.get(first, {})}
    for step in steps:
        if not isinstance(at, dict) or step not in at:
            return False
        at = at[step]
    return True


@pytest.mark.parametrize(("page", "target"), found(LINK))
def test_a_link_leads_to_a_file(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_the_architecture_stays_readable_in_one_sitting() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 330
