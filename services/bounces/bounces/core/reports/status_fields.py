"""Reads the fields of a delivery status notification (RFC 3464, RFC 6533), well formed or not.

The rules say: fields about the message, an empty line, and fields for each recipient, divided by
empty lines. Real reports have empty lines inside a group, none between two, or lines of blanks.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping

from bounces.core.reports.mime import fields
from bounces.core.reports.plain_text import clean
from bounces.core.reports.report import RecipientStatus
from posthouse.mail.dsn_action import Action

MOST_RECIPIENTS = 1000  # of one report; further ones are ignored

CODE = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
"""An enhanced status code (RFC 3463): class, subject, detail."""

_BLANK = re.compile(rb"\n[ \t]*(?=\n)")
_NAME = re.compile(rb"^([!-9;-~]{1,76})[ \t]*:", re.MULTILINE)
_NAMES_RECIPIENT = ("final-recipient", "original-recipient", "x-actual-recipient")
_RESULTS = ("action", "status", "diagnostic-code", "remote-mta")

_ACTIONS = {str(action): action for action in Action} | {
    "failure": Action.FAILED, "error": Action.FAILED, "expired": Action.FAILED,
    "deferred": Action.DELAYED, "delay": Action.DELAYED, "success": Action.DELIVERED,
}  # fmt: skip
_ACTION_OF_CLASS = {"5": Action.FAILED, "4": Action.DELAYED, "2": Action.DELIVERED}
_HEX = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_LARGEST_CHARACTER = 0x10FFFF


def read_status_fields(body: bytes) -> tuple[str, tuple[RecipientStatus, ...]]:
    """The reporting server and the recipients that *body*, with LF ends, tells of."""
    reporting_mta = ""
    recipients: list[RecipientStatus] = []
    for group in _groups(body):
        reporting_mta = reporting_mta or behind_type(group.get("reporting-mta", ""))
        if status := _recipient(group):
            recipients.append(status)
        if len(recipients) == MOST_RECIPIENTS:
            break
    return clean(reporting_mta, 255), tuple(recipients)


def _groups(body: bytes) -> Iterator[Mapping[str, str]]:
    """A group for each recipient, after one about the message if there is any."""
    message: dict[str, str] = {}
    current: dict[str, str] | None = None
    for piece in _pieces(body):
        if not any(name in piece for name in _NAMES_RECIPIENT):
            target = message if current is None or "reporting-mta" in piece else current
            _fill(target, piece)
            continue
        if current is not None:
            yield current
        elif message:
            yield {name: message[name] for name in message if name not in _RESULTS}
            _fill(piece, {name: message[name] for name in _RESULTS if name in message})
        current = piece
    yield message if current is None else current


def _fill(group: MutableMapping[str, str], more: Mapping[str, str]) -> None:
    for name, value in more.items():
        group.setdefault(name, value)


def _pieces(body: bytes) -> Iterator[dict[str, str]]:
    """Runs of fields in which no name occurs twice, and that no empty line divides."""
    for block in _BLANK.split(b"\n" + body):
        seen: set[bytes] = set()
        begin = 0
        for field in _NAME.finditer(block):
            name = field[1].lower()
            if name in seen and (name.decode() in (*_NAMES_RECIPIENT, "action", "status")):
                yield fields(block[begin : field.start()])
                seen, begin = set(), field.start()
            seen.add(name)
        if seen:
            yield fields(block[begin:])


def _recipient(group: Mapping[str, str]) -> RecipientStatus | None:
    """The recipient that *group* is about; None if it is about the message or says nothing."""
    said = group.get("status", "")
    found = CODE.search(said)
    status = found[0] if found else ""
    action = _action(group.get("action", ""), status)
    named = any(name in group for name in _NAMES_RECIPIENT)
    if action is None and named and "diagnostic-code" in group:
        action = Action.FAILED
    if action is None or not (named or "action" in group):
        return None
    return RecipientStatus(
        action=action,
        status=status,
        diagnostic=clean(group.get("diagnostic-code", ""), 1000),
        final_recipient=_mailbox(group.get("final-recipient", "")),
        original_recipient=_mailbox(
            group.get("original-recipient") or group.get("x-actual-recipient", "")
        ),
        remote_mta=clean(behind_type(group.get("remote-mta", "")), 255),
        remark=clean(said[found.end() :].strip(" ()"), 200) if found else "",
    )


def _action(word: str, status: str) -> Action | None:
    """The action; from the class of *status* if the action is missing or unknown."""
    named = _ACTIONS.get(re.split(r"[\s(;]", word.strip().lower(), maxsplit=1)[0])
    return named or _ACTION_OF_CLASS.get(status[:1])


def behind_type(value: str) -> str:
    """What follows the type in a typed field: "dns; mx.example" (RFC 3464 section 2.1.2)."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and " " not in kind.strip() else value


def _mailbox(value: str) -> str:
    """The address in a recipient's field, whose type some servers write twice."""
    address = behind_type(behind_type(value)).strip()
    address = address.partition(" (")[0].strip("<>' ")
    return clean(_HEX.sub(_character, address), 320)


def _character(match: re.Match[str]) -> str:
    """The character that an escape of RFC 6533 section 3 stands for."""
    number = int(match[1], 16)
    return chr(number) if number <= _LARGEST_CHARACTER else match[0]
