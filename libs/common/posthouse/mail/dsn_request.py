"""What a sender wants to be told about delivery: the parameters of DSN (RFC 3461)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

_NOT_XCHAR = re.compile(r"[^!-*,-<>-~]")
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")


class Notify(StrEnum):
    """When a recipient is reported (RFC 3461 section 4.1)."""

    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"


class Return(StrEnum):
    """How much of a message comes back with the report of a failure (RFC 3461 section 4.3)."""

    FULL = "full"
    HDRS = "hdrs"


class RecipientRequest(NamedTuple):
    """The parameters of one RCPT."""

    notify: tuple[Notify, ...] | None = None  # (): never; None: it does not say
    # ORCPT, "type;address" as a report shows it (RFC 3464 2.1.2): printable ASCII. "": none.
    original: str = ""

    def wants(self, what: Notify) -> bool:
        """Whether *what* is reported: failures are, where it does not say."""
        return what is Notify.FAILURE if self.notify is None else what in self.notify

    def and_again(self, other: "RecipientRequest") -> "RecipientRequest":
        """Of a recipient that is named twice and gets one copy: all that either asks for."""
        original = self.original or other.original
        if self.notify == other.notify:
            return RecipientRequest(self.notify, original)
        both = tuple(each for each in Notify if self.wants(each) or other.wants(each))
        return RecipientRequest(both, original)

    @property
    def parameters(self) -> str:
        """As they follow the address in RCPT: each begins with a blank."""
        text = ""
        if self.notify is not None:
            text = f" NOTIFY={','.join(self.notify).upper() or 'NEVER'}"
        if self.original:
            kind, _, address = self.original.partition(";")
            text += f" ORCPT={kind};{xtext(address)}"
        return text


NOTHING_ASKED = RecipientRequest()


@dataclass(frozen=True, slots=True)
class DsnRequest:
    """The parameters of a message."""

    content: Return | None = None
    envelope_id: str = ""  # ENVID: printable ASCII; "" for none
    # By address, those whose RCPT had parameters.
    recipients: Mapping[str, RecipientRequest] = field(default_factory=dict)

    def of(self, recipient: str) -> RecipientRequest:
        """What is asked about *recipient*."""
        return self.recipients.get(recipient, NOTHING_ASKED)

    @property
    def parameters(self) -> str:
        """As they follow the address in MAIL: each begins with a blank."""
        returned = f" RET={self.content.upper()}" if self.content else ""
        return returned + (f" ENVID={xtext(self.envelope_id)}" if self.envelope_id else "")

    def as_json(self) -> dict[str, Any]:
        """As stored: what was not given is left out."""
        stored: dict[str, Any] = {}
        if self.content:
            stored["ret"] = self.content
        if self.envelope_id:
            stored["envid"] = self.envelope_id
        if self.recipients:
            stored["recipients"] = {
                address: ({} if asked.notify is None else {"notify": asked.notify})
                | ({"orcpt": asked.original} if asked.original else {})
                for address, asked in self.recipients.items()
            }
        return stored

    @staticmethod
    def from_json(stored: Mapping[str, Any] | None) -> "DsnRequest | None":
        """The opposite of `as_json`."""
        if stored is None:
            return None
        return DsnRequest(
            Return(stored["ret"]) if "ret" in stored else None,
            stored.get("envid", ""),
            {a: _recipient(asked) for a, asked in stored.get("recipients", {}).items()},
        )


def _recipient(stored: Mapping[str, Any]) -> RecipientRequest:
    notify = stored.get("notify")
    return RecipientRequest(
        None if notify is None else tuple(map(Notify, notify)), stored.get("orcpt", "")
    )


def xtext(text: str) -> str:
    """*text*, printable ASCII, as the value of a parameter (RFC 3461 section 4)."""
    return _NOT_XCHAR.sub(lambda found: f"+{ord(found[0]):02X}", text)


def international(address: str) -> str:
    """An address that is not ASCII, in ASCII (RFC 6533 section 3, utf-8-addr-xtext)."""
    return _NOT_QCHAR.sub(lambda found: f"\\x{{{ord(found[0]):X}}}", address)
