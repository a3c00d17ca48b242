"""By what messages are looked for: a value made of words, as commands and APIs are given them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import idna

from posthouse.mail.address import normal_form
from posthouse.mail.message_state import MessageState
from posthouse.mail.moment_text import UnreadableMoment, moment_in

# What is not found by a key is searched for within so much time.
SEARCHED = timedelta(days=1)
_WORDS = ("to", "from", "user", "account", "subject", "tag", "since", "until", "state")
_MOST_CHARACTERS = 500  # of a word; an address has at most 254


class UnusableQuery(ValueError):
    """The text quotes what was seen and says what is allowed."""


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """Messages for which all of this is true; None or nothing does not choose.

    Those of a recipient, sender, user or tag are found by a key. Else all of the time from *since*
    to *until* is read, which is a day at most where a subject is searched for.
    """

    to: str | None = None  # exactly this address, in any spelling of it
    sender: str | None = None  # of the envelope; "" for the null reverse-path
    user: str | None = None
    account: str | None = None
    subject: tuple[str, ...] = ()  # words that it contains, in any order, case-folded
    tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: frozenset[MessageState] = frozenset()  # of at least one recipient

    @property
    def has_key(self) -> bool:
        """Whether it is found by a key."""
        return any(one is not None for one in (self.to, self.sender, self.user, self.tag))

    @staticmethod
    def of(words: Mapping[str, str], now: datetime) -> "MessageQuery":
        """Made of words: to, from, user, account, subject, tag, since, until, state.

        "from" may be "<>"; "since" and "until" are 30min, 2h, 5d, or a time as in ISO 8601; "state"
        has several with commas between them. Raises UnusableQuery.
        """
        for name, value in words.items():
            if name not in _WORDS:
                raise UnusableQuery(f"{name!r} is none of {', '.join(_WORDS)}")
            if not value or len(value) > _MOST_CHARACTERS or "\0" in value:
                raise UnusableQuery(f"{name} has to have 1 to {_MOST_CHARACTERS} characters")
        query = MessageQuery(
            to=words.get("to"),
            sender="" if words.get("from") == "<>" else words.get("from"),
            user=words.get("user"),
            account=words.get("account"),
            subject=tuple(words.get("subject", "").casefold().split()),
            tag=words.get("tag"),
            since=_moment(words, "since", now),
            until=_moment(words, "until", now),
            states=_states(words.get("state", "")),
        )
        return _bounded(query, now)


def _bounded(query: MessageQuery, now: datetime) -> MessageQuery:
    """*query* with the time that is searched, which is a day where nothing says otherwise."""
    if query.tag is not None and query.account is None:
        raise UnusableQuery("tag needs account: each account has tags of its own")
    until = query.until or now
    if query.since is None and not query.has_key:
        query = replace(query, since=until - SEARCHED)
    if query.subject and not query.has_key:
        if query.account is None:
            raise UnusableQuery("subject needs account, or to, from, user or tag")
        if query.since is not None and until - query.since > SEARCHED:
            raise UnusableQuery("subject is searched within a day: narrow since and until")
    return query


def spellings(address: str) -> tuple[str, ...]:
    """The forms in which *address* may have been stored; upper and lower case are the same.

    Keys and statements put only ASCII into lower case: other letters are as they were sent.
    """
    normal = normal_form(address)
    local, _, domain = normal.rpartition("@")
    as_stored = "".join(c.lower() if c.isascii() else c for c in address)
    forms = as_stored, address.lower(), normal, f"{local}@{_in_letters(domain)}"
    return tuple(dict.fromkeys(forms))


def _in_letters(domain: str) -> str:
    """*domain*, in A-labels, as people write it (RFC 5890)."""
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


def matches_subject(query: MessageQuery, subject: str) -> bool:
    """Whether *subject* contains every word that is looked for."""
    folded = subject.casefold()
    return all(word in folded for word in query.subject)


def cursor_in(text: str) -> UUID:
    """The place from which a search goes on. Raises UnusableQuery."""
    try:
        return UUID(text)
    except ValueError as error:
        raise UnusableQuery(f"{text!r} is not a cursor that a page ended with") from error


def _moment(words: Mapping[str, str], name: str, now: datetime) -> datetime | None:
    if name not in words:
        return None
    try:
        return moment_in(words[name], now)
    except UnreadableMoment as error:
        raise UnusableQuery(f"{name}: {error}") from error


def _states(text: str) -> frozenset[MessageState]:
    try:
        return frozenset(MessageState(one.strip()) for one in text.split(",") if one.strip())
    except ValueError as error:
        allowed = ", ".join(MessageState)
        raise UnusableQuery(f"state {text!r} is none of {allowed}") from error
