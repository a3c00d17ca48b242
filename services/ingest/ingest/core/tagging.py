"""The tags of a message, from its tag header and its Subject (RULES X09)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.refusals import Refusal
from posthouse.mail.encoded_words import decoded
from posthouse.mail.message import Field
from posthouse.mail.subject_tags import subject_text, tags_in
from posthouse.profiles import Profile
from posthouse.profiles.choices import Multiplicity, OnInvalidTag, TagCharset
from posthouse.profiles.knobs import TagKnobs

_PLAIN = re.compile(r"[A-Za-z0-9-]+")
_REPLACED = "\ufffd"  # stands for what is no text
_SHOWN = 60  # characters of a tag in a reply or note
_NOTED = 5  # tags that a note names: a header may have thousands


class InvalidTag(NamedTuple):
    """A tag outside the grammar of its profile."""

    tag: str
    allowed: str

    def __str__(self) -> str:
        shown = self.tag if len(self.tag) <= _SHOWN else f"{self.tag[:_SHOWN]}..."
        return f"{shown!a} seen, {self.allowed}"


def split_tags(text: str) -> Iterator[str]:
    """The tags between the commas of *text*, trimmed; empty ones are dropped (C23, M21)."""
    for part in text.split(","):
        if tag := part.strip():
            yield tag


def sorted_out(tags: Iterable[str], knobs: TagKnobs) -> tuple[tuple[str, ...], list[InvalidTag]]:
    """*tags* that are in the grammar of *knobs*, each once, and those that are not."""
    good: dict[str, None] = {}
    bad: list[InvalidTag] = []
    for tag in tags:
        if allowed := _allowed(tag, knobs):
            bad.append(InvalidTag(tag, allowed))
        elif tag not in good and len(good) == knobs.max_count:
            bad.append(InvalidTag(tag, f"at most {knobs.max_count} tags are allowed"))
        else:
            good[tag] = None
    return tuple(good), bad


def left_out(bad: Sequence[InvalidTag]) -> Iterator[str]:
    """The first of *bad*, and how many more there are, for the timeline."""
    yield from map(str, bad[:_NOTED])
    if len(bad) > _NOTED:
        yield f"{len(bad) - _NOTED} more"


def _allowed(tag: str, knobs: TagKnobs) -> str:
    """The grammar that *tag* is not in; "" if it is."""
    if len(tag) > knobs.max_characters or not tag.isprintable() or _REPLACED in tag:
        return f"a tag has up to {knobs.max_characters} printable characters"
    if knobs.charset is TagCharset.LETTERS_DIGITS_HYPHEN and not _PLAIN.fullmatch(tag):
        return "a tag has letters, digits and hyphens of ASCII"
    return ""


@dataclass(frozen=True, slots=True)
class ReadTags:
    """Tags, and the traffic source of links, which is the first tag (C21, C22)."""

    knobs: TagKnobs
    header: bytes  # in lower case; empty for none
    untagged_source: str

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """By the knobs of *profile*."""
        header = profile.tags.header.name.lower().encode()
        return cls(profile.tags, header, profile.tracking.traffic_source)

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule; tags that were read before stay in front."""
        knobs = self.knobs
        fields = message.head.fields(self.header)
        if len(fields) > 1 and knobs.header.multiplicity is Multiplicity.REJECT:
            return refusals.several_fields(knobs.header.name)
        if knobs.header.multiplicity is Multiplicity.FIRST:
            fields = fields[:1]
        texts = [decoded(field.value) for field in fields]
        if knobs.from_subject:
            for subject in message.head.fields(b"subject")[:1]:
                if refusal := self._too_long(subject):
                    return refusal
                texts.append(tags_in(subject_text(subject)) or "")
        given = [*decided.attributes.tags, *(tag for text in texts for tag in split_tags(text))]
        good, bad = sorted_out(given, knobs)
        if bad and knobs.on_invalid is OnInvalidTag.REJECT:
            return refusals.unreadable_control(knobs.header.name or "Subject", str(bad[0]))
        return self._tagged(decided, good, bad)

    def _too_long(self, subject: Field) -> Refusal | None:
        limit, seen = self.knobs.max_subject_characters, len(subject_text(subject))
        return refusals.subject_too_long(seen, limit) if limit and seen > limit else None

    def _tagged(
        self, decided: Admission, good: tuple[str, ...], bad: list[InvalidTag]
    ) -> Admission:
        default, untagged = self.knobs.default, self.untagged_source
        attributes = replace(
            decided.attributes,
            tags=good or ((default,) if default else ()),
            traffic_source=good[0] if untagged and good else untagged,
            notes=(*decided.attributes.notes, *(f"left out a tag: {one}" for one in left_out(bad))),
        )
        return decided._replace(attributes=attributes)
