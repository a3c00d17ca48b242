"""Messages of each profile, as its customers write them, with its control headers.

What is asked of them is in RULES A1 to A5, whose ids are named.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

from verifiers import writing
from verifiers.writing import Sample

Write: TypeAlias = Callable[[Random, int, str], Sample]
"""A message of that number, of the customer who has the domain."""

MAILING = "4711"  # the header code of a mailing
ELSEWHERE = "else.example"  # a domain that no customer has


@dataclass(frozen=True, slots=True)
class Dialect:
    """How mail of a profile is written."""

    profile: str
    write: Write
    knobs: tuple[str, ...] = ()  # that its customer changes, as KNOB=VALUE
    commands: tuple[str, ...] = ()  # of its operator, for {account}

    @property
    def domain(self) -> str:
        """The one that its customer sends as."""
        return f"{self.profile}.example"


def _native(random: Random, number: int, domain: str) -> Sample:
    """Nothing is asked of it: anything may be missing, and the envelope says who gets it."""
    sender, to = f"news@{domain}", _some_of("ann bob cy", random, number)
    bcc = [f"blind{number}@dest.example"] if random.random() < 0.3 else []
    fields = [
        f"From: {writing.mailbox(random, sender)}",
        _listed("To", random, to),
        *writing.some(random, [writing.subject(random)]),
        *writing.some(random, writing.identity(random, number, domain)),
        *writing.some(random, [f"Reply-To: {writing.mailbox(random, f'answers@{domain}')}"]),
        *writing.more_fields(random, number),
        *(f"Bcc: {address}" for address in bcc),
    ]
    sample = _sample(random, sender, (*to, *bcc), fields)
    asked = ("SMTPUTF8",) if random.random() < 0.2 else ()  # then text stays as it is
    return replace(sample, parameters=asked)


def _critsend(random: Random, number: int, domain: str) -> Sample:
    """From, To and Subject (C09), no Bcc (C12), tags (C20, C24); some from elsewhere (C15)."""
    own = random.random() < 0.8
    author = f"delivery@{domain if own else ELSEWHERE}"
    to, cc = _some_of("ann bob", random, number), _some_of("cy dee", random, number)
    subject = writing.subject(random, long=False)  # C24: at most 245 characters
    if random.random() < 0.3:
        subject = f"Subject: [tag: spring, sale-{number}] {writing.text(random)}"
    fields = [
        f"From: {writing.mailbox(random, author, eight_bit=False)}",
        _listed("To", random, to, eight_bit=False),
        _listed("Cc", random, cc, eight_bit=False),
        subject,
        *writing.some(
            random, [f"{random.choice(('X-tag', 'X-TAG'))}: invite{number}, news-letter"]
        ),
        *writing.some(random, writing.identity(random, number, domain)),
        *writing.more_fields(random, number, eight_bit=False),
    ]
    return _sample(random, author, (*to, *cc), fields, aligned=own)


def _maxemail(random: Random, number: int, domain: str) -> Sample:
    """The first of To and one more get it (M11 to M13), under the sender of the envelope (M08)."""
    sender, to = f"outgoing@{domain}", _some_of("ann bob cy", random, number)
    others = [
        address for address in _some_of("dee eve fay", random, number) if random.random() < 0.5
    ]
    recipients = [*to, *others]
    random.shuffle(recipients)
    author = f"newsletters@{random.choice((domain, ELSEWHERE))}"
    tags = random.choice(([], ["order,confirmation"], ["order", " guest , "]))
    flags = random.choice(([], ["0"], ["4"], ["12", "3"]))
    fields = [
        f"From: {writing.mailbox(random, author)}",
        _listed("To", random, to),
        writing.subject(random),
        *writing.some(random, [_listed("Cc", random, [f"more{number}@dest.example"])]),
        *(f"X-Mxm-Tag: {tag}" for tag in tags),
        *(f"X-Mxm-Flags: {value}" for value in flags),
        *writing.some(random, writing.identity(random, number, domain)),
        *writing.more_fields(random, number),
    ]
    rest = [address for address in recipients if address != to[0]]
    delivered = {to[0], *rest[:1]}
    return _sample(random, sender, recipients, fields, delivered=delivered)


def _mailup(random: Random, number: int, domain: str) -> Sample:
    """Any sender (U15), with priorities (U10); Reply-To is From (U21)."""
    own = random.random() < 0.8
    author, to = f"info@{domain if own else ELSEWHERE}", _some_of("ann bob", random, number)
    priority = random.choice(
        ([], ["X-Priority: 1"], ["X-Priority: 5", "Importance: low"], ["Importance: high"])
    )
    fields = [
        f"From: {writing.mailbox(random, author)}",
        _listed("To", random, to),
        writing.subject(random),
        *priority,
        *writing.some(random, [f"Reply-To: {writing.mailbox(random, author)}"]),
        *writing.some(random, writing.identity(random, number, domain)),
        *writing.more_fields(random, number),
    ]
    return _sample(random, author, to, fields, aligned=own)


def _mailtarget(random: Random, number: int, domain: str) -> Sample:
    """Copies for the arrays of X-MT-ATTR (T12); any envelope sender (T24)."""
    to = _some_of("ann bob", random, number)
    arrays = {
        kind: _some_of(names, random, number)
        for kind, names in {"cc": "cy ann", "bcc": "dee cy", "archive": "vault"}.items()
        if random.random() < 0.6
    }
    attributes = {
        **arrays,
        "campaign_id": f"spring-{number}",
        "tags": ["news", "Grüße"],
        "metadata": {"order": number},
        "optionsAttributes": {"openTracking": False, "clickTracking": False},
    }
    # It is long, so it is folded: between elements, where a space does no harm (T22).
    written = json.dumps(attributes).replace(", ", ",\r\n  ")
    fields = [
        f"From: {writing.mailbox(random, f'news@{domain}')}",
        _listed("To", random, to),
        writing.subject(random),
        *([f"X-MT-ATTR: {written}"] if arrays or random.random() < 0.5 else []),
        *writing.some(random, writing.identity(random, number, domain)),
        *writing.some(random, [f"Reply-To: {writing.mailbox(random, f'answers@{domain}')}"]),
        *writing.more_fields(random, number),
    ]
    delivered = {*to, *(address for array in arrays.values() for address in array)}
    sender = f"whatever@{random.choice((domain, ELSEWHERE))}"
    return _sample(random, sender, to, fields, delivered=delivered)


def _episerver(random: Random, number: int, domain: str) -> Sample:
    """One To, a From as in the envelope, an id and a subject (E11 to E20), maybe a mailing."""
    sender, to = f"newsletter@{domain}", f"ann{number}@dest.example"
    fields = [
        f"From: {writing.mailbox(random, sender)}",
        f"To: {writing.mailbox(random, to)}",
        writing.subject(random),
        *writing.identity(random, number, domain),
        *writing.some(random, [f"Reply-To: {writing.mailbox(random, f'answers@{domain}')}"]),
        *writing.some(random, [f"X-bm-mailing: {MAILING}"]),
        *writing.more_fields(random, number),
    ]
    return _sample(random, sender, [to], fields)


def _some_of(names: str, random: Random, number: int) -> list[str]:
    """Addresses of the first names, of at least one."""
    words = names.split()
    return [f"{name}{number}@dest.example" for name in words[: random.randint(1, len(words))]]


def _listed(name: str, random: Random, to: Sequence[str], *, eight_bit: bool = True) -> str:
    """A field with several mailboxes, folded."""
    mailboxes = (writing.mailbox(random, address, eight_bit=eight_bit) for address in to)
    return f"{name}: " + ",\r\n ".join(mailboxes)


def _sample(
    random: Random,
    sender: str,
    recipients: Sequence[str],
    fields: list[str],
    *,
    delivered: set[str] | None = None,
    aligned: bool = True,
) -> Sample:
    """A message with *fields* in any order and a body of any kind."""
    random.shuffle(fields)
    content = writing.message(fields, writing.body(random))
    got = frozenset(recipients if delivered is None else delivered)
    return Sample(sender, tuple(recipients), content, got, aligned)


DIALECTS = (
    Dialect("native", _native),
    Dialect("critsend", _critsend, knobs=("sender.signed_by=signed@critsend.example",)),
    Dialect("maxemail", _maxemail),
    Dialect("mailup", _mailup),
    Dialect("mailtarget", _mailtarget),
    Dialect(
        "episerver",
        _episerver,
        commands=(
            f"stream create {MAILING} --code {MAILING} --account {{account}}",
            f"account set {{account}} --bounce-address returned@{ELSEWHERE}",
        ),
    ),
)
