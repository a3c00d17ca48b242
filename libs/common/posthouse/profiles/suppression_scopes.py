"""The scopes of a message: for which entries of the lists it is checked, and to which it adds."""

from posthouse.mail.submission import Attributes
from posthouse.mail.suppression_list import stream_scope, tag_scope
from posthouse.profiles.choices import SuppressionScope
from posthouse.profiles.profile import Profile

WHOLE_ACCOUNT = ""
"""The scope of entries that hold for all mail of the account."""


def scopes_of(profile: Profile, attributes: Attributes) -> tuple[str, ...]:
    """The parts of the account's mail that a message belongs to (C25, U19, X19); it may be none.

    Entries for the whole account hold for it as well.
    """
    match profile.suppression.scope:
        case SuppressionScope.LIST:
            return (stream_scope(attributes.stream),) if attributes.stream else ()
        case SuppressionScope.TAG:
            tags = attributes.tags or (profile.tags.default,)
            return tuple([tag_scope(tag) for tag in tags if tag])
        case SuppressionScope.ACCOUNT:
            return ()


def scopes_to_leave(profile: Profile, attributes: Attributes) -> tuple[str, ...]:
    """What a recipient unsubscribes from who wants no more messages like this one.

    That is what the message belongs to, and all mail of the account where it belongs to no part.
    """
    return scopes_of(profile, attributes) or (WHOLE_ACCOUNT,)
