"""Who gets a copy (RULES X06, X07): RCPT TO beside To, Cc and Bcc."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.message_options import MessageOptions, NamedAddress
from ingest.core.refusals import Refusal
from posthouse.mail.address import Address, InvalidAddress, normal_form
from posthouse.mail.mailbox import Mailbox, address_list
from posthouse.mail.mailbox_text import mailbox_text, phrase_as_written, phrase_of
from posthouse.mail.message import Field, HeaderInjection, HeaderTooLong, field
from posthouse.mail.submission import Discarded, RecipientKind

_ONE_BCC = "M13"
_ONLY_FIRST_SHOWN = "recipients beside the first one in To were taken out of To and Cc"


def require_single_to(message: Incoming, decided: Admission) -> Admission | Refusal:
    """There is one To header, with one valid address, and RCPT TO names no other (E12, E14)."""
    fields = message.head.fields(b"to")
    if len(fields) != 1:
        return refusals.several_addresses("To", len(fields))
    try:
        found = address_list(fields[0].value)
    except InvalidAddress as error:
        return refusals.unreadable_field("To", error)
    if len(found) != 1:
        return refusals.several_addresses("To", len(found))
    only = normal_form(str(found[0].address))
    for address in message.recipients:
        if normal_form(address) != only:
            return refusals.other_than_in_to(address, str(found[0].address))
    return decided


def refuse_unnamed(message: Incoming, decided: Admission) -> Admission | Refusal:
    """Every recipient of RCPT TO is named in a To or Cc header: there is no Bcc (C12)."""
    named: set[str] = set()
    for name, key in (("To", b"to"), ("Cc", b"cc")):
        for field_ in message.head.fields(key):
            try:
                named |= {normal_form(str(one.address)) for one in address_list(field_.value)}
            except InvalidAddress as error:
                return refusals.unreadable_field(name, error)
    for address in message.recipients:
        if normal_form(address) not in named:
            return refusals.unnamed_recipient(address)
    return decided


@dataclass(frozen=True, slots=True)
class FirstToAndOneBcc:
    """Two recipients at most: the first one in To, and of the others the first in RCPT TO.

    RCPT TO has to name the first (M12). The second is a Bcc recipient; all others are accepted,
    get no copy, and are not in the header that is delivered (M11, M13).
    """

    allows_bcc: bool

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        fields = message.head.fields(b"to")
        if not fields:
            return refusals.no_field("To")
        try:
            named = address_list(fields[0].value)
        except InvalidAddress as error:
            return refusals.unreadable_field("To", error)
        if not named:
            return refusals.empty_field("To")
        shown = _only_first(message, named, len(fields))
        if isinstance(shown, Refusal):
            return shown
        return self._with_recipients(decided, named[0].address, shown)

    def _with_recipients(
        self, decided: Admission, first: Address, shown: dict[str, str]
    ) -> Admission | Refusal:
        wanted = normal_form(str(first))
        to = next((each for each in decided.recipients if normal_form(each) == wanted), None)
        if to is None:
            return refusals.not_in_envelope(str(first))
        others = [each for each in decided.recipients if each is not to]
        # Not the same mailbox in another spelling, which would get the message twice.
        blind = (each for each in others if normal_form(each) != wanted)
        bcc = list(islice(blind, 1)) if self.allows_bcc else []
        if not others and not shown:
            return decided
        attributes = replace(
            decided.attributes,
            kinds=dict.fromkeys(bcc, RecipientKind.BCC),
            shown=shown,
            discarded=(
                *decided.attributes.discarded,
                *(Discarded(each, _ONE_BCC) for each in others if each not in bcc),
            ),
            notes=(*decided.attributes.notes, *((_ONLY_FIRST_SHOWN,) if shown else ())),
        )
        return decided._replace(recipients=(to, *bcc), attributes=attributes)


def _only_first(
    message: Incoming, named: tuple[Mailbox, ...], fields: int
) -> dict[str, str] | Refusal:
    """The fields of copies, where the message names more recipients than the first."""
    shown = {"Cc": ""} if message.head.fields(b"cc") else {}
    if len(named) == fields == 1:
        return shown
    text = _as_written(named[0])
    unwritable = _unwritable("To", text)
    return unwritable or {"To": text, **shown}


def add_copies(
    message: Incoming, decided: Admission, options: MessageOptions
) -> Admission | Refusal:
    """The recipients of RCPT TO, and those of the arrays cc, bcc and archive (T12 to T16).

    Who is named several times gets one copy, by the first of: RCPT TO, cc, bcc, archive.
    """
    if not (options.cc or options.bcc or options.archive):
        return decided
    seen = {normal_form(each) for each in decided.recipients}
    kinds: dict[str, RecipientKind] = {}
    bcc_shown: dict[str, str] = {}
    for kind, entry in _entries(options):
        key, address = normal_form(str(entry.address)), str(entry.address)
        if key in seen:
            continue
        seen.add(key)
        kinds[address] = kind
        if kind is RecipientKind.BCC and (text := _named(entry)) != address:
            bcc_shown[address] = text
    shown = _all_cc(message.head.fields(b"cc"), options.cc) if options.cc else {}
    if isinstance(shown, Refusal):
        return shown
    attributes = replace(decided.attributes, kinds=kinds, shown=shown, bcc_shown=bcc_shown)
    return decided._replace(recipients=(*decided.recipients, *kinds), attributes=attributes)


def _entries(options: MessageOptions) -> Iterator[tuple[RecipientKind, NamedAddress]]:
    yield from ((RecipientKind.CC, entry) for entry in options.cc)
    yield from ((RecipientKind.BCC, entry) for entry in options.bcc)
    yield from ((RecipientKind.ARCHIVE, entry) for entry in options.archive)


def _all_cc(fields: Iterable[Field], array: Iterable[NamedAddress]) -> dict[str, str] | Refusal:
    """Cc with the mailboxes that it came with, and those of *array*, each once (T14)."""
    texts: dict[str, str] = {}
    try:
        for one in fields:
            for mailbox in address_list(one.value):
                texts.setdefault(normal_form(str(mailbox.address)), _as_written(mailbox))
    except InvalidAddress as error:
        return refusals.unreadable_field("Cc", error)
    for entry in array:
        texts.setdefault(normal_form(str(entry.address)), _named(entry))
    text = ", ".join(texts.values())
    return _unwritable("Cc", text) or {"Cc": text}


def _as_written(mailbox: Mailbox) -> str:
    return mailbox_text(phrase_as_written(mailbox), mailbox.address.portable)


def _named(entry: NamedAddress) -> str:
    return mailbox_text(phrase_of(entry.name), entry.address.portable)


def _unwritable(name: str, text: str) -> Refusal | None:
    """Why no field *name* can hold *text*: a control character, or a word of over 998 octets."""
    try:
        field(name, text)
    except (HeaderInjection, HeaderTooLong) as error:
        return refusals.unreadable_field(name, error)
    return None
