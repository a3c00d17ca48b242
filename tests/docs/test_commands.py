"""Command lines in the documents are commands that there are, with options that they have."""

import re
import shlex
from pathlib import Path

import click
import pytest
from _pytest.mark import ParameterSet

from command.cli import posthouse

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

INDENTED = re.compile(
    r"^ {4}(?:[A-Z_]+=\S+ |docker compose exec \w+ )?posthouse (.+)$", re.MULTILINE
)
IN_TEXT = re.compile(r"`posthouse ([^`]+)`")
# What belongs to the shell: a comment, another program, a file.
BEYOND = re.compile(r"\s(?:#|\||>|&&).*")
OPTIONAL = str.maketrans("", "", "[]")


def found() -> list[ParameterSet]:
    lines = {
        (page.name, " ".join(BEYOND.sub("", text).translate(OPTIONAL).split()))
        for page in PAGES
        for pattern in (INDENTED, IN_TEXT)
        for text in pattern.findall(page.read_text().replace("\\\n", " "))
    }
    return [pytest.param(line, id=f"{page}:{line}") for page, line in sorted(lines)]


@pytest.mark.parametrize("line", found())
def test_a_command_line_in_a_document_is_understood(line: str) -> None:
    command: click.Command = posthouse
    context, rest = click.Context(posthouse), shlex.split(line)
    while True:
        given, rest = understood(command, rest)
        if not isinstance(command, click.Group) or not rest:
            break
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]!r}"
        command, rest = found, rest[1:]
    assert rest == []
    for parameter in command.params:
        value = given.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)


def understood(command: click.Command, words: list[str]) -> tuple[dict[str, object], list[str]]:
    """What the words give the command, and those that are left."""
    try:
        given, rest, _ = command.make_parser(click.Context(command)).parse_args(words)
    except click.BadOptionUsage:  # the text names an option, and not what it is given
        return {}, []
    return given, rest
