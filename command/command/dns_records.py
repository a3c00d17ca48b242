"""The DNS records that let a domain send through this relay (RULES C19, T26)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from posthouse.mail.dkim_key import zone_text

_VERSION = "v=spf1"
_MOST_LOOKUPS = 10  # RFC 7208 section 4.6.4
_LOOKING_UP = ("include", "a", "mx", "ptr", "exists", "redirect")


class UnusableSpf(ValueError):
    """These SPF records cannot be merged; the text says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish; *value* as a person enters it in a form."""

    name: str
    type: str
    value: str
    why: str

    @property
    def zone_line(self) -> str:
        """The record for a zone file: long texts in strings of at most 255 octets."""
        value = zone_text(self.value) if self.type == "TXT" else self.value
        return f"{self.name}. IN {self.type} {value}"


def records_for(
    domain: str,
    *,
    relay: str,
    dkim: Sequence[tuple[str, str, str]],
    return_path_host: str | None,
    published_spf: Sequence[str] = (),
) -> tuple[Record, ...]:
    """The records to publish for *domain* so that the host *relay* may send for it.

    *dkim* is selector, text and state of each key, *published_spf* what *domain* has now. Raises
    UnusableSpf.
    """
    spf = merge_spf(published_spf, f"a:{relay}")
    return (
        Record(domain, "TXT", spf, "SPF: the only such record of this name; replace, do not add"),
        *(key_record(domain, *key) for key in dkim),
        *(() if return_path_host is None else _return_path(return_path_host, relay)),
    )


def key_record(domain: str, selector: str, text: str, state: str) -> Record:
    """The record of a DKIM key."""
    why = {
        "published": "DKIM key that does not sign yet",
        "active": "DKIM key",
        "retired": "DKIM key that signs no more: remove it a week after it was retired",
    }[state]
    return Record(f"{selector}._domainkey.{domain}", "TXT", text, why)


def records_of(
    rows: Sequence[Any], relay: str, published_spf: Sequence[str] = ()
) -> tuple[Record, ...]:
    """What to publish for the domain that *rows* (one a key) are about; raises UnusableSpf."""
    keys = [(r["selector"], r["record"], r["state"]) for r in rows if r["selector"] is not None]
    return records_for(
        rows[0]["name"],
        relay=relay,
        dkim=keys,
        return_path_host=rows[0]["return_path_host"],
        published_spf=published_spf,
    )


def print_records(records: Sequence[Record], relay: str) -> None:
    """Print *records*, which name the host *relay*, as lines of a zone file."""
    if "." not in relay:
        click.echo(f"; {relay} is no public host name: set POSTHOUSE_HOSTNAME to the relay's own")
    for record in records:
        click.echo(f"; {record.why}\n{record.zone_line}")


def _return_path(host: str, relay: str) -> tuple[Record, ...]:
    return (
        Record(host, "MX", f"10 {relay}.", "returned mail comes to this relay"),
        Record(host, "TXT", f"{_VERSION} a:{relay} -all", "SPF of the envelope sender"),
    )


def merge_spf(published: Sequence[str], mechanism: str) -> str:
    """The one SPF record that permits what *published* permits, and *mechanism* too.

    Other TXT records in *published* do not matter. Raises UnusableSpf when there are several SPF
    records already, which fail for every receiver (RFC 7208 section 4.5), or too many look-ups.
    """
    found = [text.split() for text in published if text.lower().split()[:1] == [_VERSION]]
    if len(found) > 1:
        raise UnusableSpf(
            f"{len(found)} SPF records are published where one may be; make one of them first"
        )
    terms = found[0][1:] if found else ["~all"]
    merged = terms if _permits(terms, mechanism) else _inserted(terms, mechanism)
    if (lookups := sum(_looks_up(term) for term in merged)) > _MOST_LOOKUPS:
        raise UnusableSpf(
            f"the SPF record would ask for {lookups} look-ups, receivers stop at {_MOST_LOOKUPS}"
        )
    return " ".join((_VERSION, *merged))


def _inserted(terms: Sequence[str], mechanism: str) -> list[str]:
    """Insert before "all", after which nothing is read, and before modifiers, which come last."""
    end = next((at for at, term in enumerate(terms) if _is_last(term)), len(terms))
    return [*terms[:end], mechanism, *terms[end:]]


def _is_last(term: str) -> bool:
    return term.lstrip("+-~?").lower() == "all" or "=" in term.partition(":")[0]


def _permits(terms: Sequence[str], mechanism: str) -> bool:
    # After "all" nothing is read.
    end = next((at for at, term in enumerate(terms) if _is_last(term)), len(terms))
    return mechanism.lower() in (term.removeprefix("+").lower() for term in terms[:end])


def _looks_up(term: str) -> bool:
    name = term.lstrip("+-~?").lower()
    for separator in (":", "/", "="):
        name = name.partition(separator)[0]
    return name in _LOOKING_UP
