"""Suppressions in files: CSV (RFC 4180) with a header line, or a JSON object on each line.

The cells of a CSV file are safe to open in a spreadsheet: one that would begin with "=", "+", "-",
"@", a tab or a carriage return, which spreadsheets take for a formula, begins with "'". Reading
takes it away again.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from posthouse.mail.address import InvalidAddress, normal_form, parse_address_or_domain
from posthouse.mail.suppression_list import SuppressionList, stream_scope, tag_scope

COLUMNS = (
    "address", "list", "stream", "tag", "reason", "since", "until", "rule", "version", "delivery",
    "evidence",
)  # fmt: skip
"""Of a CSV file, and the names in a JSON object. Only the first has to be there."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MOST_CHARACTERS = 1000  # of a reason, scope, rule or version


class FileFormat(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSON_LINES = "jsonl"


class ListedAddress(NamedTuple):
    """A line of a file, in the order of the columns that it is stored in."""

    normal: str
    list: str
    scope: str
    address: str
    reason: str
    evidence: Mapping[str, Any]
    rule: str
    version: str
    delivery_id: UUID | None
    since: datetime | None
    until: datetime | None


class BadLine(NamedTuple):
    """A line that is no entry, and why."""

    line: int
    why: str


Line: TypeAlias = ListedAddress | BadLine


def read_file(
    lines: Iterable[str], form: FileFormat, default: SuppressionList, source: str
) -> Iterator[Line]:
    """Every line of a file, which may be endless; never raises.

    *default*: the list of entries that name none. *source*: named as the evidence of entries
    without any.
    """
    rows = _csv_rows(lines) if form is FileFormat.CSV else _json_rows(lines)
    for number, row in rows:
        try:
            yield row if isinstance(row, BadLine) else _entry(row, default, source)
        except (InvalidAddress, ValueError) as error:
            yield BadLine(number, str(error))


def first_line(form: FileFormat) -> str:
    """What a file begins with."""
    return _csv_line(COLUMNS) if form is FileFormat.CSV else ""


def line_of(entry: Mapping[str, Any], form: FileFormat) -> str:
    """A stored entry as a line of a file, with its end."""
    fields = _fields(entry)
    if form is FileFormat.JSON_LINES:
        return f"{json.dumps(fields, ensure_ascii=False)}\n"
    if "evidence" in fields:
        fields["evidence"] = json.dumps(fields["evidence"])
    return _csv_line(fields.get(name, "") for name in COLUMNS)


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(
        [f"'{cell}" if _FORMULA.match(str(cell)) else cell for cell in cells]
    )
    return line.getvalue()


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A stored entry by the names of COLUMNS, without what it does not have."""
    kind, _, name = entry["scope"].partition(":")
    since, until = entry["created_at"], entry["expires_at"]
    fields = {
        "address": entry["address"],
        "list": entry["list"],
        kind or "stream": name,
        "reason": entry["reason"],
        "since": since.isoformat(),
        "until": until and until.isoformat(),
        "rule": entry["rule"],
        "version": entry["version"],
        "delivery": entry["delivery_id"] and str(entry["delivery_id"]),
        "evidence": entry["evidence"],
    }
    return {name: value for name, value in fields.items() if value}


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any] | BadLine]]:
    rows = csv.reader(lines, strict=True)
    names: Sequence[str] = ()
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, BadLine(rows.line_num, f"not CSV: {error}")
            return  # where the next line begins is not known
        cells = [cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell for cell in row]
        if not names:
            names = [cell.strip().lower().removeprefix("\ufeff") for cell in cells]
            if why := _wrong_names(names):
                yield rows.line_num, BadLine(rows.line_num, why)
                return
        elif len(cells) != len(names):
            why = f"it has {len(cells)} cells, the header line has {len(names)}"
            yield rows.line_num, BadLine(rows.line_num, why)
        else:
            yield rows.line_num, dict(zip(names, cells, strict=True))


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any] | BadLine]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, BadLine(number, f"not JSON: {error}")
            continue
        if not isinstance(row, dict):
            yield number, BadLine(number, "not a JSON object")
        elif why := _wrong_names(list(row)):
            yield number, BadLine(number, why)
        else:
            yield number, row


def _wrong_names(names: Sequence[str]) -> str:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "address" not in names:
        seen = f"{unknown[0]!a} is not known" if unknown else "address is missing"
        return f"{seen}; the names of columns are: {', '.join(COLUMNS)}"
    return "a name is there twice" if len(set(names)) < len(names) else ""


def _entry(row: Mapping[str, Any], default: SuppressionList, source: str) -> ListedAddress:
    """Raises ValueError or InvalidAddress, which say what was seen and what is allowed."""
    address = parse_address_or_domain(_text(row, "address"))
    return ListedAddress(
        normal_form(address),
        _list(_text(row, "list") or default.value),
        _scope(_text(row, "stream"), _text(row, "tag")),
        address,
        _text(row, "reason") or "imported",
        _evidence(row.get("evidence"), source),
        _text(row, "rule"),
        _text(row, "version"),
        _read(UUID, row, "delivery", "an id"),
        _read(_moment, row, "since", "a time like 2026-07-01T12:00:00+00:00"),
        _read(_moment, row, "until", "a time like 2026-07-01T12:00:00+00:00"),
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {ascii(value)[:80]}, not a text")  # noqa: TRY004 - of a file
    text = value.strip()
    if len(text) > _MOST_CHARACTERS or not text.isprintable():
        raise ValueError(
            f"{name} is {text[:80]!a}, not a text of up to {_MOST_CHARACTERS} printable characters"
        )
    return text


def _list(text: str) -> str:
    if text not in list(SuppressionList):
        raise ValueError(f"list is {text!a}, not one of: {', '.join(SuppressionList)}")
    return text


def _scope(stream: str, tag: str) -> str:
    if stream and tag:
        raise ValueError("it names a stream and a tag: an entry holds for one of them")
    return stream_scope(stream) if stream else tag_scope(tag) if tag else ""


def _read(read: Callable[[str], Any], row: Mapping[str, Any], name: str, allowed: str) -> Any:
    text = _text(row, name)
    try:
        return read(text) if text else None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} is {text[:80]!a}, not {allowed}") from error


def _moment(text: str) -> datetime:
    """Raises ValueError or OverflowError: not every time can be told in UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _evidence(given: object, source: str) -> Mapping[str, Any]:
    """What came with the entry, apart from what we have seen ourselves."""
    if not given:
        return {"imported": source}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"evidence is not JSON: {error}") from error
    if r"\u0000" in json.dumps(given) or not _is_unicode(given):
        raise ValueError("evidence holds a character that cannot be stored")
    if isinstance(given, dict) and list(given) == ["imported"]:
        return given
    return {"imported": given}


def _is_unicode(given: object) -> bool:
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
