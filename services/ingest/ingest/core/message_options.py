"""Options of a message as a JSON object in its header (RULES T09 to T16, T18, T20 to T23).

Names may be written_so or writtenSo: both are in use.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ingest.core.json_field import json_object, shown
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.encoded_words import decoded
from posthouse.mail.message import Field

V = TypeVar("V")

MOST_COPIES: Final = 1_000
_MOST_CAMPAIGN_OCTETS = 64
_MOST_NAME_CHARACTERS = 255  # so that it can be folded

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TYPE_NAMES = {bool: "boolean", str: "string", list: "array", dict: "object"}

_FLAGS = (
    *("open_tracking", "click_tracking", "list_header", "list_footer"),
    *("transactional", "inline_css"),
)
_CHOICES = ("ip_pool", "dkim_key")
_CHECKS = ("check_bounces", "check_unsubscribes")  # of complaints is never skipped


class WrongOption(ValueError):
    """An option has a value that it cannot have; the text names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """An entry of one of the arrays of recipients."""

    address: Address
    name: str = ""  # a friendly one


@dataclass(frozen=True, slots=True)
class MessageOptions:
    """What the object says; what it does not say is empty."""

    flags: Mapping[str, bool] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)  # of a pool of addresses, of a key
    campaign: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    cc: tuple[NamedAddress, ...] = ()
    bcc: tuple[NamedAddress, ...] = ()
    archive: tuple[NamedAddress, ...] = ()
    ignored: tuple[str, ...] = ()  # names that mean nothing here, such as substitution_data


def read_options(raw: Field, header: str) -> MessageOptions:
    """The options in the field *header*; raises UnreadableJson and WrongOption, which names it."""
    given = _Given(json_object(raw), header)
    options = _Given(given.take("options", dict, {}), header)
    found = MessageOptions(
        flags=_flags(options),
        choices={name: text for name in _CHOICES if (text := options.text(name))},
        campaign=_campaign(given),
        metadata=_words_decoded(given.take("metadata", dict, {})),
        tags=tuple(dict.fromkeys(given.texts("tags"))),
        cc=tuple(given.addresses("cc")),
        bcc=tuple(given.addresses("bcc")),
        archive=tuple(given.addresses("archive")),
        ignored=(*given.left, *options.left),
    )
    copies = len(found.cc) + len(found.bcc) + len(found.archive)
    if copies > MOST_COPIES:
        raise WrongOption(
            f"{header} 'cc', 'bcc' and 'archive' name {copies} recipients:"
            f" {MOST_COPIES} are allowed"
        )
    return found


class _Given:
    """What an object holds, by names written_so; each is taken once."""

    def __init__(self, found: Mapping[str, Any], header: str) -> None:
        self._header = header
        self._names: dict[str, str] = {}  # as they are written
        self._values: dict[str, Any] = {}
        for written, value in found.items():
            name = "_".join(_HUMP.split(written)).lower().removesuffix("_attributes")
            if name in self._names:
                raise WrongOption(f"{header} {shown(written)} is given twice")
            self._names[name], self._values[name] = written, value

    @property
    def left(self) -> list[str]:
        """The names that nothing was taken of, as they are written."""
        return [shown(self._names[name]) for name in self._values]

    def take(self, name: str, kind: type[V], default: V) -> V:
        """The value of *name*, of that type."""
        if name not in self._values:
            return default
        value = self._values.pop(name)
        if not isinstance(value, kind):
            raise self.wrong(name, f"must be of type 'json {_TYPE_NAMES[kind]}'")
        return value

    def wrong(self, name: str, why: str) -> WrongOption:
        return WrongOption(f"{self._header} {shown(self._names[name])} {why}")

    def flag(self, name: str) -> bool | None:
        return self.take(name, bool, default=False) if name in self._values else None

    def text(self, name: str) -> str:
        return self._line(name, self.take(name, str, ""))

    def texts(self, name: str) -> Iterator[str]:
        for value in self.take(name, list, []):
            if not isinstance(value, str):
                raise self.wrong(name, "must be a json array of strings")
            yield self._line(name, value)

    def addresses(self, name: str) -> Iterator[NamedAddress]:
        for value in self.take(name, list, []):
            entry = {"email": value} if isinstance(value, str) else value
            if not isinstance(entry, dict) or not isinstance(entry.get("email"), str):
                raise self.wrong(name, 'must be a json array of strings and {"email", "name"}')
            friendly = entry.get("name", "")
            if not isinstance(friendly, str) or len(friendly) > _MOST_NAME_CHARACTERS:
                allowed = f"a string of at most {_MOST_NAME_CHARACTERS} characters"
                raise self.wrong(name, f"has a name that is not {allowed}")
            try:
                address = Address.parse(entry["email"].strip())
            except InvalidAddress as error:
                raise self.wrong(name, f"holds what is no address: {error}") from error
            if not address.local.isascii():  # every copy that shows it would need SMTPUTF8
                raise self.wrong(
                    name, f"holds {shown(str(address))}, which is not in ASCII before the @"
                )
            yield NamedAddress(address, self._line(name, friendly))

    def _line(self, name: str, text: str) -> str:
        """*text* on one line, its encoded words decoded (T23)."""
        text = " ".join((decoded(text) if "=?" in text else text).split())
        if _CONTROL.search(text):
            raise self.wrong(name, f"holds a control character: {shown(text)}")
        return text


def _flags(options: _Given) -> dict[str, bool]:
    flags = {name: on for name in _FLAGS if (on := options.flag(name)) is not None}
    skip = options.flag("skip_suppression")
    return flags if skip is None else flags | dict.fromkeys(_CHECKS, not skip)


def _campaign(given: _Given) -> str:
    campaign = given.text("campaign_id") or given.text("campaign_code")  # (T21, U20)
    if len(campaign.encode()) > _MOST_CAMPAIGN_OCTETS:
        limit = f"limited to {_MOST_CAMPAIGN_OCTETS} bytes"
        raise WrongOption(f"smtpapi_campaign_id context is {limit}")
    return campaign


def _words_decoded(value: Any) -> Any:
    """*value* with the encoded words in its texts decoded (T23)."""
    if isinstance(value, str):
        return decoded(value) if "=?" in value else value
    if isinstance(value, list):
        return [_words_decoded(each) for each in value]
    if isinstance(value, dict):
        return {name: _words_decoded(each) for name, each in value.items()}
    return value
