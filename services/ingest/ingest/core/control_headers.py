"""Control headers of a message: flags as a number, options as JSON (RULES X10, M17 to M20, T09)."""

import re
from dataclasses import dataclass, replace

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.json_field import UnreadableJson, shown
from ingest.core.message_options import MessageOptions, WrongOption, read_options
from ingest.core.recipient_rules import add_copies
from ingest.core.refusals import Refusal
from ingest.core.tagging import left_out, sorted_out
from posthouse.mail.address import normal_form
from posthouse.mail.message import Field
from posthouse.mail.message_flag import Flags, MessageFlag
from posthouse.mail.submission import Attributes
from posthouse.profiles.choices import FromPolicy, Multiplicity, OnInvalidTag
from posthouse.profiles.knobs import ControlHeader, TagKnobs

_WHOLE_NUMBER = re.compile(r"[0-9]{1,100}")
_IGNORE_BOUNCES = 8
_ALL_BITS = 15


def apply_sender_flags(message: Incoming, decided: Admission) -> Admission:
    """What is set for the address that recipients see wins over its stream and profile (M19)."""
    session = message.session
    if not session.sender_flags:
        return decided
    if session.profile.sender.from_policy is FromPolicy.REWRITE_FROM_ENVELOPE:
        address = message.sender
    else:
        address = str(message.head.authors[0].address)
    flags = session.sender_flags.get(normal_form(address))
    if not flags:
        return decided
    return decided._replace(attributes=_with_flags(decided.attributes, flags))


@dataclass(frozen=True, slots=True)
class BeginWithCampaign:
    """The campaign of messages that name none themselves (U20)."""

    campaign: str

    def __call__(self, message: Incoming, decided: Admission) -> Admission:
        """As a rule."""
        del message
        return decided._replace(attributes=replace(decided.attributes, campaign=self.campaign))


@dataclass(frozen=True, slots=True)
class ReadFlags:
    """Flags as the bits of a number: a bit that is not set is off, whatever else is said (M19)."""

    header: ControlHeader
    key: bytes  # its name as headers are asked for it
    decides: frozenset[MessageFlag]  # the flags that it may set

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        found = _one(message, self.header, self.key)
        if found is None or isinstance(found, Refusal):
            return found or decided
        value = found.value
        if not _WHOLE_NUMBER.fullmatch(value):
            why = f"{shown(value)} is not a whole number from 0"
            return refusals.unreadable_control(self.header.name, why)
        bits = int(value)
        flags = {
            MessageFlag.OPEN_TRACKING.value: bool(bits & 1),
            MessageFlag.CLICK_TRACKING.value: bool(bits & 2),
            MessageFlag.CHECK_UNSUBSCRIBES.value: bool(bits & 4),
            MessageFlag.CHECK_BOUNCES.value: not bits & _IGNORE_BOUNCES,
        }
        attributes = _with_flags(decided.attributes, _allowed(flags, self.decides))
        if bits > _ALL_BITS:
            note = f"{self.header.name}: bits from 16 on mean nothing"
            attributes = replace(attributes, notes=(*attributes.notes, note))
        return decided._replace(attributes=attributes)


@dataclass(frozen=True, slots=True)
class ReadAttributes:
    """Options as a JSON object; what it says wins over what was known before (T10)."""

    header: ControlHeader
    key: bytes  # its name as headers are asked for it
    decides: frozenset[MessageFlag]  # the flags that it may set
    copies: bool  # its arrays name recipients
    tags: TagKnobs

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        name = self.header.name
        found = _one(message, self.header, self.key)
        if found is None or isinstance(found, Refusal):
            return found or decided
        try:
            options = read_options(found, name)
        except UnreadableJson as error:
            return refusals.broken_control(f"JSON parsing error in {name}: {error}")
        except WrongOption as error:
            return refusals.broken_control(str(error))
        good, bad = sorted_out(options.tags, self.tags)
        if bad and self.tags.on_invalid is OnInvalidTag.REJECT:
            return refusals.broken_control(f"{name} 'tags': {bad[0]}")
        ignored = (*options.ignored, *(f"the tag {one}" for one in left_out(bad)))
        options = replace(options, tags=good, ignored=ignored)
        if self.copies:
            added = add_copies(message, decided, options)
            if isinstance(added, Refusal):
                return added
            decided = added
        return decided._replace(attributes=self._applied(options, decided.attributes))

    def _applied(self, options: MessageOptions, attributes: Attributes) -> Attributes:
        ignored = [*options.ignored]
        if not self.copies and (options.cc or options.bcc or options.archive):
            ignored.append("'cc', 'bcc' and 'archive'")
        note = (f"{self.header.name}: ignored: {', '.join(ignored)}",) if ignored else ()
        attributes = replace(
            attributes,
            tags=tuple(dict.fromkeys((*attributes.tags, *options.tags))),
            metadata={**attributes.metadata, **options.metadata},
            campaign=options.campaign or attributes.campaign,
            choices={**attributes.choices, **options.choices},
            notes=(*attributes.notes, *note),
        )
        return _with_flags(attributes, _allowed(options.flags, self.decides))


def _allowed(flags: Flags, decides: frozenset[MessageFlag]) -> Flags:
    withheld = frozenset(MessageFlag) - decides
    return {flag: value for flag, value in flags.items() if flag not in withheld}


def _with_flags(attributes: Attributes, flags: Flags) -> Attributes:
    return replace(attributes, flags={**attributes.flags, **flags})


def _one(message: Incoming, header: ControlHeader, key: bytes) -> Field | Refusal | None:
    """The field that counts: of several the topmost, unless they are refused (M18, X10)."""
    fields = message.head.fields(key)
    if len(fields) > 1 and header.multiplicity is Multiplicity.REJECT:
        why = f"{len(fields)} seen, one is allowed"
        return refusals.unreadable_control(header.name, why)
    return fields[0] if fields else None
