"""User names that all clients of a profile share: the secret then says whose it is (RULES T02).

It has the form USER.SECRET, with the user name that the credential has by itself, or it is a secret
that was brought along. Behind the name may be which child of the account it is for (T07).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ingest.core import login_replies
from posthouse.mail.reply import Reply
from posthouse.profiles.presets import newest_presets
from posthouse.smtp.commands import Credentials
from posthouse.smtp.mechanisms import Proof

_CHILD = re.compile(r"x-msys-subaccount=(.+)", re.IGNORECASE)


class SharedName(NamedTuple):
    """A user name that profiles share."""

    name: str  # in lower case
    failed: Reply  # to a login under it that is wrong (T17)
    child: str = ""  # name of the account that it sends for; "": by the domain of From


def _shared_names() -> Mapping[str, SharedName]:
    sessions = [preset.session for preset in newest_presets()]
    return {
        name.lower(): SharedName(
            name.lower(), login_replies.AUTH_FAILED._replace(text=session.shared_login_failed)
        )
        for session in sessions
        for name in session.shared_usernames
    }


_SHARED = _shared_names()


def shared_name(proof: Proof) -> SharedName | None:
    """The shared name that a client gave, in any case; None if it gave one of its own.

    Only where the secret itself is given it can say whose it is.
    """
    return _named(proof.username) if isinstance(proof, Credentials) else None


def is_misplaced(proof: Proof) -> bool:
    """Whether a shared name was given with a mechanism that does not carry the secret."""
    return not isinstance(proof, Credentials) and _named(proof.username) is not None


def _named(username: str) -> SharedName | None:
    name, colon, rest = username.partition(":")
    shared = _SHARED.get(name.lower())
    if shared is None or not colon:
        return shared
    child = _CHILD.fullmatch(rest)
    return shared._replace(child=child[1]) if child else None


def own_proof(shared: Proof) -> Proof:
    """The user and secret in the secret of a shared name; user "" if it has not that form."""
    if not isinstance(shared, Credentials) or not shared.can_be_known:
        return shared
    username, _, secret = shared.secret.rpartition(".")
    return Credentials(username, secret)
