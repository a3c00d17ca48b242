"""The recipients that a copy shows: To, Cc and Bcc as admission decided (RULES X06, T13 to T15)."""

from collections.abc import Iterable, Iterator

from policy.core.draft import Copy, Draft
from policy.core.facts import Facts
from posthouse.mail.message import Header
from posthouse.mail.submission import RecipientKind


def show_decided_fields(draft: Draft, facts: Facts) -> Draft:
    """Write the fields of recipients that differ from those that came; "" takes one out."""
    del facts
    shown = draft.request.submission.attributes.shown
    return draft.edit_headers(lambda header: _with(header, shown.items())) if shown else draft


def _with(header: Header, shown: Iterable[tuple[str, str]]) -> Header:
    for name, text in shown:
        header = header.replace(name, text) if text else header.without(name)
    return header


def show_own_bcc(draft: Draft, facts: Facts) -> Draft:
    """Each Bcc recipient gets a copy of its own, whose Bcc names nobody else (T15)."""
    del facts
    if RecipientKind.BCC not in draft.request.submission.attributes.kinds.values():
        return draft
    return draft._replace(copies=tuple(_split(draft)))


def _split(draft: Draft) -> Iterator[Copy]:
    names = draft.request.submission.attributes.bcc_shown
    for copy in draft.copies:
        blind = [to for to in copy.recipients if to.kind is RecipientKind.BCC]
        rest = tuple([to for to in copy.recipients if to.kind is not RecipientKind.BCC])
        if rest:
            yield copy._replace(recipients=rest)
        for to in blind:
            header = copy.header.append("Bcc", names.get(to.address, to.address))
            yield copy._replace(header=header, recipients=(to,))
