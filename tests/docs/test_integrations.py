"""Pages about clients claim what the tests of clients run, or say that it was not run."""

import ast
import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests/integrations"
PAGES = ROOT / "docs/integrations"
_WITHOUT_CLIENTS = {"README.md", "replies.md"}
_RUN = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
_NOT_RUN = re.compile(r"\*Not run: .*\b\d{4}-\d{2}-\d{2}\b.*\*", re.DOTALL)
_CODE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def sections() -> list[ParameterSet]:
    """Each client's, with its title."""
    return [
        pytest.param(*part.split("\n", 1), id=part.partition("\n")[0])
        for page in sorted(PAGES.glob("*.md"))
        if page.name not in _WITHOUT_CLIENTS
        for part in page.read_text().split("\n## ")[1:]
    ]


def claim(text: str) -> str:
    """The paragraph that a section begins with."""
    return text.strip().partition("\n\n")[0]


@pytest.mark.parametrize(("title", "text"), sections())
def test_a_section_names_the_tests_that_ran_it_or_its_source_and_date(
    title: str, text: str
) -> None:
    if not claim(text).startswith("*Run: "):
        assert _NOT_RUN.fullmatch(claim(text)), title
        return
    tests = _RUN.findall(claim(text))
    assert tests
    for file, test in tests:
        tree = ast.parse((TESTS / file).read_text())
        assert test in {n.name for n in tree.body if isinstance(n, ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("title", "text"), sections())
def test_code_of_a_section_that_was_run_is_what_was_run(title: str, text: str) -> None:
    if claim(text).startswith("*Run: "):
        given = [path.read_text() for path in (TESTS / "clients").rglob("*") if path.is_file()]
        for code in _CODE.findall(text):
            assert any(code in one for one in given), (title, code)


@pytest.mark.parametrize("client", ["Outlook", "WordPress", "Magento", "Salesforce"])
def test_U25_a_client_is_told_host_port_encryption_and_user(client: str) -> None:
    (text,) = [str(section.values[1]) for section in sections() if section.id == client]
    for word in ("host", "587", "starttls", "user", "secret"):
        assert word in text.lower()
