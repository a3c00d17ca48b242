"""SPF records: read, and merged into the one that a domain may have (RFC 7208, RULES C19)."""

from collections.abc import Sequence

from posthouse.domains.spf_term import SpfTerm, terms_of

VERSION = "v=spf1"
MOST_LOOKUPS = 10  # RFC 7208 section 4.6.4
# Google's name for its servers, and the one that it had before, which leads to the same.
_SAME = {"include:_spf.googlemail.com": "include:_spf.google.com"}


class UnusableSpf(ValueError):
    """These SPF records cannot be merged; the text says why."""


def is_spf(text: str) -> bool:
    """Whether a TXT record is one of SPF (RFC 7208 section 4.5)."""
    return text.lower() == VERSION or text.lower().startswith(f"{VERSION} ")


def merge_spf(published: Sequence[str], *mechanisms: str) -> str:
    """The one SPF record that permits what *published* permits, and *mechanisms* too.

    Other TXT records in *published* do not matter. Every term of the old record stays, and in
    its order. Raises UnusableSpf when there are several SPF records already, which fail for
    every receiver (RFC 7208 section 4.5), or too many look-ups.
    """
    found = [text for text in published if is_spf(text)]
    if len(found) > 1:
        raise UnusableSpf(
            f"{len(found)} SPF records are published where one may be; make one of them first"
        )
    terms = terms_of(found[0] if found else f"{VERSION} ~all")
    end = _end_of_permissions(terms)
    permitted = {_SAME.get(text, text) for text in map(_normal_form, terms[:end])}
    added = [one for one in dict.fromkeys(mechanisms) if one.lower() not in permitted]
    merged = [*(t.text for t in terms[:end]), *added, *(t.text for t in terms[end:])]
    lookups = sum(term.looks_up for term in terms_of(" ".join((VERSION, *merged))))
    if lookups > MOST_LOOKUPS:
        raise UnusableSpf(
            f"the SPF record would ask for {lookups} look-ups, receivers stop at {MOST_LOOKUPS}"
        )
    return " ".join((VERSION, *merged))


def _normal_form(term: SpfTerm) -> str:
    return f"{term.name}:{term.value}{term.prefix}".lower()


def _end_of_permissions(terms: Sequence[SpfTerm]) -> int:
    """Where the first term is that does not permit: what comes behind it may never be reached.

    "all" ends the record (nothing is read behind it), modifiers come last, and a mechanism that
    refuses could match our host before our own does.
    """
    ends = (at for at, t in enumerate(terms) if t.qualifier != "+" or t.name == "all")
    return next(ends, len(terms))
