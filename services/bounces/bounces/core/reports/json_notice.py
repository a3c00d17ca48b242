"""Reads the notices that hosted mail services send as JSON inside a message."""

import json
import re
from collections.abc import Iterator
from itertools import islice

from bounces.core.reports.plain_text import clean
from bounces.core.reports.report import RecipientStatus
from bounces.core.reports.status_fields import CODE, MOST_RECIPIENTS
from posthouse.mail.dsn_action import Action

_ACTIONS = {"failed": Action.FAILED, "delayed": Action.DELAYED, "delivered": Action.DELIVERED}
_FAILED = re.compile(r'"(?:bounced|delayed)Recipients"\s*:\s*(?=\[)')
_COMPLAINED = re.compile(r'"complainedRecipients"\s*:\s*(?=\[)')
_MOST_LISTS = 10


def read_json_notice(text: str) -> tuple[RecipientStatus, ...]:
    """The recipients that a JSON object in *text* lists; () if there is none.

    Only the list is read, so that an object that was cut or wrapped by mail does no harm.
    """
    if not text.lstrip().startswith("{"):
        return ()
    found = (status for one in _listed(text, _FAILED) if (status := _status(one)))
    return tuple(islice(found, MOST_RECIPIENTS))


def complained_recipients(text: str) -> tuple[str, ...]:
    """The recipients who complained, by a JSON object in *text*."""
    statuses = (_status(one) for one in _listed(text, _COMPLAINED))
    return tuple(status.address for status in islice(statuses, MOST_RECIPIENTS) if status)


def _listed(text: str, name: re.Pattern[str]) -> Iterator[object]:
    for found in islice(name.finditer(text), _MOST_LISTS):
        try:
            listed, _ = json.JSONDecoder(strict=False).raw_decode(text, found.end())
        except (ValueError, RecursionError):
            continue
        yield from listed


def _status(one: object) -> RecipientStatus | None:
    if not isinstance(one, dict) or "@" not in str(one.get("emailAddress", "")):
        return None
    code = CODE.search(str(one.get("status", ""))[:100])
    return RecipientStatus(
        action=_ACTIONS.get(str(one.get("action", "failed"))[:20].lower(), Action.FAILED),
        status=code[0] if code else "",
        diagnostic=clean(str(one.get("diagnosticCode", ""))[:2000], 1000),
        final_recipient=clean(str(one["emailAddress"])[:400].strip("<> "), 320),
    )
