"""Where and how a login of a profile may be used (RULES X01, X02, X03): judged when it is right."""

from collections.abc import Collection

from ingest.core import login_replies
from ingest.core.shared_names import SharedName
from posthouse.authentication.client_networks import is_within
from posthouse.mail.permission import Permission
from posthouse.mail.reply import Reply
from posthouse.profiles.knobs import SessionKnobs


def login_refusal(
    knobs: SessionKnobs,
    permissions: Collection[str],
    listener: str,
    client: str,
    *,
    tls: bool,
    shared: SharedName | None = None,
    needed: Permission = Permission.SMTP,
) -> Reply | None:
    """Why the login does not count on this connection; None if it does.

    *shared*: the user name that was given, if it is no name of its own. *needed*: what it is for.
    Only the want of TLS is said (M05, E01): of a permission that it lacks (T03), a listener or a
    network that is not allowed (E02) a client hears what it hears of a wrong secret.
    """
    if needed not in permissions:
        return login_replies.AUTH_FAILED
    if shared and shared.name not in map(str.lower, knobs.shared_usernames):
        return login_replies.AUTH_FAILED
    if knobs.allowed_listeners and listener not in knobs.allowed_listeners:
        return login_replies.AUTH_FAILED
    if knobs.allowed_networks and not is_within(client, knobs.allowed_networks):
        return login_replies.AUTH_FAILED
    # Last: it says that the secret is right, which is told to those alone who may use it.
    return login_replies.TLS_REQUIRED if knobs.require_tls and not tls else None
