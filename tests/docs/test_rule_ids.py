"""Each rule of the five services has a test that carries its id, or a page says why it has none.

The rules are those that the profiles cite: C of CritSend, M of Maxemail, U of MailUp SMTP+, T of
Mailtarget, E of Episerver Campaign, X where they contradict each other.
"""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/profiles").glob("*.md"))
IDS = {
    *(f"C{n:02}" for n in range(1, 28)),
    *(f"M{n:02}" for n in range(1, 25)),
    *(f"U{n:02}" for n in range(1, 27)),
    *(f"T{n:02}" for n in range(1, 27)),
    *(f"E{n:02}" for n in range(1, 22)),
    *(f"X{n:02}" for n in range(1, 20)),
    *("T06a", "E06a", "E06b"),
}
_ID = re.compile(r"(?<![A-Za-z0-9])([CMUTEX]\d\d[ab]?)(?![A-Za-z0-9])")
_TEST = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
_LISTED = re.compile(r"^- \*\*([CMUTEX]\d\d[ab]?)\*\* \S+", re.MULTILINE)


@cache
def ids_of_tests() -> frozenset[str]:
    """The ids in names of tests, each between underscores."""
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    names = (name.replace("_", " ") for text in texts for name in _TEST.findall(text))
    return frozenset(id_ for name in names for id_ in _ID.findall(name))


def listed(page: Path, title: str) -> set[str]:
    _, _, rest = page.read_text().partition(f"\n## {title}\n")
    return set(_LISTED.findall(rest.partition("\n## ")[0]))


def test_each_rule_is_tested_or_listed_with_a_reason() -> None:
    in_lists = {
        id_
        for page in PAGES
        for title in ("Waiting", "Not testable")
        for id_ in listed(page, title)
    }
    assert in_lists <= IDS
    assert not IDS - ids_of_tests() - in_lists


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_waits_is_not_claimed_by_a_test(page: Path) -> None:
    assert not listed(page, "Waiting") & ids_of_tests()
    assert not listed(page, "Not testable") & ids_of_tests()
