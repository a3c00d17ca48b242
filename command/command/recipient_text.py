"""What recipients did with a message, as text."""

from collections.abc import Mapping
from typing import Any

from posthouse.mail.events import EventKind

_READERS = {"human": "by a person", "machine": "by a machine"}


def read_by(detail: Mapping[str, Any]) -> str:
    """Who opened or clicked, as far as we can tell, and what."""
    by = _READERS.get(detail.get("verdict", ""), "by a person or a machine")
    rule = f" by the rule {detail['rule']!r}" if detail.get("rule") else ""
    at = f", at {detail['client']}" if detail.get("client") else ""
    agent = f" with {detail['agent']}" if detail.get("agent") else ""
    link = f": link {detail['link']}" if "link" in detail else ""
    target = f", {detail['target']}" if detail.get("target") else ""
    return f"{by}{rule}{at}{agent}{link}{target}"


def chosen(kind: EventKind, detail: Mapping[str, Any]) -> str:
    """What the recipient wants no more of, or again."""
    scopes = [scope.replace(":", " ", 1) or "all mail of the account" for scope in detail["scopes"]]
    word = "from" if kind is EventKind.UNSUBSCRIBED else "to"
    return f"{word} {' and '.join(scopes)}, by {detail['by']}"
