"""Credentials: made with a secret that is shown once, or that its user brings along."""

import base64
import secrets
from dataclasses import dataclass
from uuid import UUID

from command.provisioning import NameTaken
from command.secret_making import NewSecret
from posthouse.mail.saslprep import CannotPrepare, prepared
from posthouse.profiles import Profile
from posthouse.profiles.presets import newest_presets
from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore
from posthouse.store.credentials import CredentialTerms

_USERNAME_OCTETS = 5  # eight base32 digits


class NoCredential(Exception):
    """There is no credential of that user name."""


class UnusableName(ValueError):
    """Clients could not log in under it."""


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential as its user needs it; a secret that was drawn is shown this once."""

    username: str
    secret: NewSecret
    shared_username: str = ""  # that its profile lets it give instead (RULES T02)

    @property
    def key(self) -> str:
        """The secret that goes with the shared user name; "" if there is none."""
        if not (self.shared_username and self.secret.is_strong):
            return ""
        return self.secret.text if self.secret.is_given else f"{self.username}.{self.secret.text}"

    def lines(self) -> str:
        """For its user to read."""
        shown = self.secret.text
        if self.secret.is_given:
            kept = "a keyed hash" if self.secret.is_strong else "scrypt: it could be guessed"
            shown = f"as it was given (kept by {kept})"
        lines = [f"username  {self.username}", f"secret    {shown}"]
        if self.key:
            key = "the same secret" if self.secret.is_given else f"the secret {self.key}"
            lines.append(f"or        username {self.shared_username} with {key}")
        if not self.secret.is_given:
            lines.append("The secret is not shown again.")
        return "\n".join(lines)

    def as_json(self) -> dict[str, str]:
        """For a script of its user."""
        if self.secret.is_given:
            return {"username": self.username}
        shared = {"shared_username": self.shared_username, "key": self.key} if self.key else {}
        return {"username": self.username, "secret": self.secret.text} | shared


def shared_username(profile: Profile) -> str:
    """The user name that clients of *profile* share, "" for none."""
    return next(iter(profile.session.shared_usernames), "")


async def create_credential(
    accounts: AccountStore,
    account: UUID,
    secret: NewSecret,
    username: str | None,
    terms: CredentialTerms,
    *,
    actor: str = "",
) -> NewCredential:
    """Make a credential; raises NameTaken, SecretTaken."""
    chosen = username or random_username()
    try:
        await accounts.create_credential(account, chosen, secret.stored, terms, actor)
    except StoreRefused as error:
        raise NameTaken(f"there is a credential called {chosen!r} already") from error
    return NewCredential(chosen, secret)


def check_user_name(username: str) -> None:
    """Raise UnusableName if no client could log in under it."""
    try:
        is_usable = prepared(username) == username == username.strip()
    except CannotPrepare as error:
        raise UnusableName(f"no user can be called {username!r}: {error}") from error
    if not is_usable:
        raise UnusableName(
            f"no user can be called {username!r}: clients would send it in another form (RFC 4013)"
        )
    for preset in newest_presets():
        for shared in preset.session.shared_usernames:
            if username.partition(":")[0].lower() == shared.lower():
                raise UnusableName(
                    f"no user can be called {username!r}: all clients of the profile {preset.name} "
                    "give that name"
                )


def random_username() -> str:
    """A user name that no other has."""
    return f"ph-{base64.b32encode(secrets.token_bytes(_USERNAME_OCTETS)).decode().lower()}"
