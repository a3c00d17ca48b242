"""The profile under which a message was accepted, as a row of the database names it."""

from typing import Any

from posthouse.profiles import InvalidOverride, Profile, UnknownProfile, resolve


def profile_in(row: Any) -> Profile | None:
    """The profile that *row* names: a preset by itself, or one that an account made of it.

    None for one of a newer version, which this program does not know.
    """
    try:
        if row["preset"] is not None:
            return resolve(row["preset"], row["preset_revision"], row["knobs"])
        return resolve(row["profile"], row["profile_revision"])
    except (UnknownProfile, InvalidOverride):
        return None
