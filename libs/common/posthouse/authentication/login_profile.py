"""How what a login does is treated."""

from posthouse.profiles import Profile, resolve
from posthouse.store.logins import Login


def profile_of(login: Login) -> tuple[Profile, int]:
    """Its profile, and the revision that its messages have.

    Raises UnknownProfile or InvalidOverride where a newer version made it.
    """
    own = login.own_profile
    if own is None:
        profile = resolve(login.profile)
        return profile, profile.revision
    return resolve(own.preset, own.preset_revision, own.knobs), own.revision
