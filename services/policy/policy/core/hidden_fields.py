"""Fields that recipients must not see."""

from dataclasses import dataclass

from policy.core.draft import Draft
from policy.core.facts import Facts
from posthouse.mail.message import Header
from posthouse.mail.subject_tags import without_tags
from posthouse.profiles import Profile

# Other recipients (RFC 5322 section 3.6.3), a field that only the last server may write (RFC 5321
# section 4.4), and the control headers of every profile, whichever the message has (A6 rule 2).
_HIDDEN = frozenset(
    {
        b"bcc",
        b"resent-bcc",
        b"return-path",
        b"x-bm-mailing",
        b"x-msys-api",
        b"x-mt-attr",
        b"x-smtpapi",
        b"x-tag",
    }
)
_HIDDEN_PREFIXES = (b"x-posthouse-", b"x-mxm-", b"x-ses-")


def hide_fields(draft: Draft, facts: Facts) -> Draft:
    """Remove the fields that recipients must not see."""
    del facts
    return draft.edit_headers(_without_hidden)


def _without_hidden(header: Header) -> Header:
    kept = [f for f in header.fields if not _is_hidden(f.name)]
    return header if len(kept) == len(header.fields) else Header(tuple(kept))


def _is_hidden(name: bytes) -> bool:
    return name in _HIDDEN or name.startswith(_HIDDEN_PREFIXES)


def control_fields_of(profile: Profile) -> tuple[str, ...]:
    """The control headers that only *profile* has, under names that an account gave them."""
    control = profile.control
    flags, attributes = control.flags.name, control.attributes.name
    stream, tag = control.stream.name, profile.tags.header.name
    if not (flags or attributes or stream or tag):
        return ()
    named = (flags, attributes, stream, tag)
    return tuple([name for name in named if name and not _is_hidden(name.lower().encode())])


@dataclass(frozen=True, slots=True)
class HideNamed:
    """Remove the fields called *names*."""

    names: tuple[str, ...]

    def __call__(self, draft: Draft, facts: Facts) -> Draft:
        """As a step."""
        del facts
        return draft.edit_headers(lambda header: header.without(*self.names))


def hide_subject_tags(draft: Draft, facts: Facts) -> Draft:
    """Remove the tags from the front of the Subject, which recipients must not see (C24)."""
    del facts
    return draft.edit_headers(_without_subject_tags)


def _without_subject_tags(header: Header) -> Header:
    return Header(tuple([without_tags(f) if f.name == b"subject" else f for f in header.fields]))
