"""Profiles by name. What a profile means is data: tables over this enumeration (RULES A6)."""

from enum import StrEnum


class UnknownProfile(ValueError):
    """No profile has that name."""


class Profile(StrEnum):
    """What a credential resolves to at AUTH; stored by name with every message."""

    NATIVE = "native"


NATIVE = Profile.NATIVE


def by_name(name: str) -> Profile:
    """The profile called *name*. Raises UnknownProfile, naming those there are."""
    try:
        return Profile(name)
    except ValueError as error:
        known = ", ".join(Profile)
        raise UnknownProfile(f"no profile is called {name!r}; there is: {known}") from error
