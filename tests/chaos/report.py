"""What is kept of a run: JSON for programs, Markdown for people."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Self

import msgspec

from chaos.ordeal import Result
from chaos.tally import Count

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "reports"

_COUNTS = tuple(field.name for field in fields(Count))
_HEAD = ("case", "what is done", "strikes", "of these idle", *_COUNTS, "outcome")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and when it was run, with which versions."""

    began: str  # ISO 8601, UTC, to the second
    versions: Mapping[str, str]
    cores: int

    @classmethod
    def now(cls) -> Self:
        """Those of this process, without servers."""
        versions = {
            "Posthouse": _posthouse(),
            "Python": platform.python_version(),
            platform.system(): platform.release(),
        }
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), versions, os.cpu_count() or 0)

    def beside(self, versions: Mapping[str, str]) -> Self:
        """The same with these servers."""
        return replace(self, versions={**self.versions, **versions})

    @property
    def name(self) -> str:
        """The beginning, as part of the name of a file."""
        return self.began[:19].replace(":", "")

    def as_markdown(self) -> str:
        """One sentence."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.began}. {versions}; {self.cores} cores."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, figures to the right."""
    marks = ["---", *["---:"] * (len(head) - 2), "---"]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, marks, *rows))


def results_as_markdown(results: Sequence[Result]) -> str:
    """A row for each case; counts are what Count says they are."""
    return table(_HEAD, [_row(result) for result in results])


def keep(folder: Path, name: str, facts: object, text: str) -> Path:
    """Write both forms; the Markdown file. A file of that name is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    for target, octets in (
        (path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(facts)) + b"\n"),
        (path, text.encode()),
    ):
        fresh = target.with_name(f"{target.name}.new")
        fresh.write_bytes(octets)
        fresh.replace(target)
    return path


def _row(result: Result) -> list[str]:
    counts = [f"{getattr(result.count, name):,}" if result.count else "" for name in _COUNTS]
    struck = [str(result.strikes), str(result.idle_strikes)] if result.count else ["", ""]
    outcome = f"{result.verdict}{result.note and f'; {result.note}'}"
    return [result.case, result.says, *struck, *counts, outcome.replace("|", "/")]


def _posthouse() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    commit = described.stdout.strip()
    return f"{version('posthouse')}{commit and f' ({commit})'}"
