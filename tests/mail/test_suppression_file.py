"""Suppressions in files: both formats, safe cells, bad lines by their numbers."""

import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from posthouse.mail.suppression_file import (
    BadLine,
    FileFormat,
    Line,
    ListedAddress,
    first_line,
    line_of,
    read_file,
)
from posthouse.mail.suppression_list import SuppressionList

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
CSV, JSON_LINES = FileFormat


def read(text: str, form: FileFormat = CSV) -> list[Line]:
    lines = io.StringIO(text, newline="")
    return list(read_file(lines, form, SuppressionList.MANUAL, "old.csv"))


def good(text: str, form: FileFormat = CSV) -> list[ListedAddress]:
    found = read(text, form)
    assert [] == [line for line in found if isinstance(line, BadLine)]
    return [line for line in found if isinstance(line, ListedAddress)]


def bad(text: str, form: FileFormat = CSV) -> list[tuple[int, str]]:
    return [(b.line, b.why) for b in read(text, form) if isinstance(b, BadLine)]


def stored(**changes: Any) -> dict[str, Any]:
    """An entry as the store gives it."""
    return {
        "address": "ann@dest.example", "list": "bounce", "scope": "", "reason": "no such mailbox",
        "created_at": NOON, "expires_at": None, "rule": "", "version": "", "delivery_id": None,
        "evidence": {}, **changes,
    }  # fmt: skip


def test_one_column_is_enough() -> None:
    (ann, domain) = good("address\nAnn@Bücher.example\n@dest.example\n")
    expected = ("ann@xn--bcher-kva.example", "Ann@bücher.example", "manual", "", "imported")
    assert expected == (ann.normal, ann.address, ann.list, ann.scope, ann.reason)
    assert {"imported": "old.csv"} == ann.evidence
    assert "@dest.example" == domain.normal


def test_all_columns_in_any_order() -> None:
    (entry,) = good(
        "since,list,tag,address,until,reason,rule,version,delivery,evidence\n"
        '2026-07-01T12:00:00+00:00,unsubscribe,invoice1,a@x.example,2026-07-02,"a, b",r,7,'
        f'{UUID(int=5)},"{{""code"": 550}}"\n'
    )
    assert entry == ListedAddress(
        "a@x.example", "unsubscribe", "tag:invoice1", "a@x.example", "a, b",
        {"imported": {"code": 550}}, "r", "7", UUID(int=5), NOON, datetime(2026, 7, 2, tzinfo=UTC),
    )  # fmt: skip


def test_an_object_on_each_line() -> None:
    (one, two) = good(
        '{"address": "a@x.example", "stream": "news"}\n\n{"address": "b@x.example"}\n', JSON_LINES
    )
    assert ("stream:news", "b@x.example") == (one.scope, two.address)


@pytest.mark.parametrize("form", FileFormat)
@pytest.mark.parametrize(
    "entry",
    [
        stored(),
        stored(scope="tag:a:b", list="unsubscribe", expires_at=NOON, rule="r", version="2"),
        stored(scope="stream:news", delivery_id=UUID(int=9), evidence={"imported": {"a": [1]}}),
        stored(address="@dest.example", reason='=HYPERLINK("http://evil.example")'),
        stored(address="+1@dest.example", reason="-1+1"),
        stored(address="'=a@dest.example", reason="''@x"),
        stored(reason="'plain", address='"a\tb"@dest.example'.replace("\t", " ")),
        stored(reason="two, three; \"four\" 'five'"),
    ],
)
def test_what_is_written_is_read_again(entry: dict[str, Any], form: FileFormat) -> None:
    text = first_line(form) + line_of(entry, form)
    (found,) = good(text, form)
    assert [entry[name] for name in ("address", "list", "scope", "reason", "rule", "version")] == [
        found.address, found.list, found.scope, found.reason, found.rule, found.version,
    ]  # fmt: skip
    assert (entry["created_at"], entry["expires_at"]) == (found.since, found.until)
    assert entry["delivery_id"] == found.delivery_id
    assert (entry["evidence"] or {"imported": "old.csv"}) == found.evidence


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", "'=", "''@"])
def test_no_cell_begins_like_a_formula(begin: str) -> None:
    import csv  # noqa: PLC0415

    text = line_of(stored(reason=f"{begin}1", address=f"{begin.strip() or '='}1@x.example"), CSV)
    (row,) = csv.reader(io.StringIO(text))
    assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("gone", "'gone' is not a mail address: it has no @"),
        ("@", "nothing stands after the @"),
        ("", "it has no @"),
        ("a@x.example,nowhere", "list is 'nowhere', not one of: bounce, complaint"),
        ("a@x.example,manual,s,t", "it names a stream and a tag"),
        ("a@x.example,manual,,,today", "since is 'today', not a time like"),
        ("a@x.example,manual,,,9999-12-31T23:00:00-05:00", "since is '9999-12-31T23:00:00-05:00'"),
        ("a@x.example,manual,,,,{", "evidence is not JSON"),
        ('a@x.example,manual,,,,"{""a"": ""\\u0000""}"', "cannot be stored"),
        ("a@x.example,manual,,,,,\x07", "reason is '\\x07', not a text of up to 1000 printable"),
        (f"a@x.example,manual,,,,,{'x' * 1001}", "not a text of up to 1000 printable"),
        ("a@x.example,manual,,,,,\udce9", "not a text of up to 1000 printable"),
    ],
)
def test_a_bad_line_is_told_by_its_number(line: str, why: str) -> None:
    """And the lines around it are read."""
    header = "address,list,stream,tag,since,evidence,reason"
    line += "," * (6 - line.replace('""a"": ""', "").count(","))
    found = read(f"{header}\nann@x.example{',' * 6}\n{line}\nbob@x.example{',' * 6}\n")
    assert ["ann@x.example", "bob@x.example"] == [
        entry.address for entry in found if isinstance(entry, ListedAddress)
    ]
    ((number, said),) = [(b.line, b.why) for b in found if isinstance(b, BadLine)]
    assert 3 == number
    assert why in said


def test_lines_are_counted_as_an_editor_does() -> None:
    """A quoted cell may hold a line end."""
    ((number, _),) = bad('address,reason\na@x.example,ok\n"b\n@x.example",no\n')
    assert 4 == number


@pytest.mark.parametrize(
    ("text", "form", "line", "why"),
    [
        ("a@x.example\n", CSV, 1, "'a@x.example' is not known; the names of columns are: address,"),
        ("list\nmanual\n", CSV, 1, "address is missing"),
        ("address,address\n", CSV, 1, "a name is there twice"),
        ("address,list\na@x.example\n", CSV, 2, "it has 1 cells, the header line has 2"),
        ('address\n"a@x.example\n', CSV, 2, "not CSV"),
        ("[]\n", JSON_LINES, 1, "not a JSON object"),
        ("{\n", JSON_LINES, 1, "not JSON"),
        ("[" * 100_000, JSON_LINES, 1, "not JSON"),
        ('{"address": 5}\n', JSON_LINES, 1, "address is 5, not a text"),
        ('{"address": "a@x.example", "lst": "manual"}\n', JSON_LINES, 1, "'lst' is not known"),
    ],
)
def test_what_is_no_file_of_entries_says_why(
    text: str, form: FileFormat, line: int, why: str
) -> None:
    ((number, said),) = bad(text, form)
    assert line == number
    assert why in said


def test_a_file_with_a_byte_order_mark() -> None:
    assert ["a@x.example"] == [e.address for e in good("\ufeffaddress\r\na@x.example\r\n")]


def test_imported_evidence_does_not_nest() -> None:
    """However often a list goes from one relay to another."""
    line = json.dumps({"address": "a@x.example", "evidence": {"imported": {"code": 550}}})
    (entry,) = good(line, JSON_LINES)
    assert {"imported": {"code": 550}} == entry.evidence
