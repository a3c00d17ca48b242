"""Profiles of accounts: a preset with some of its knobs changed."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from command.provisioning import NameTaken
from posthouse.profiles import (
    InvalidOverride,
    Profile,
    UnknownProfile,
    contradictions,
    preset_names,
    resolve,
)
from posthouse.profiles.choices import Onboarding
from posthouse.store.accounts import AccountStore


class Contradiction(ValueError):
    """Knobs of a profile contradict each other."""


class NoBounceAddress(ValueError):
    """The profile of a credential needs a bounce address."""


def knobs_in(texts: Iterable[str]) -> dict[str, Any]:
    """Knobs by name, of KNOB=VALUE: a value in JSON, or else a text; raises InvalidOverride."""
    knobs = {}
    for text in texts:
        knob, equals, value = text.partition("=")
        if not equals:
            raise InvalidOverride(f"{text!r} is not KNOB=VALUE, as in tracking.opens=true")
        try:
            knobs[knob] = json.loads(value)
        except ValueError:
            knobs[knob] = value
    return knobs


def check_own_profile(name: str, preset: str, knobs: dict[str, Any]) -> int:
    """The revision of *preset*, newest, if *knobs* suit it and *name* is not that of a preset.

    Raises NameTaken, UnknownProfile, InvalidOverride, and Contradiction.
    """
    if name in preset_names():
        raise NameTaken(f"{name!r} is a preset: give the account's profile another name")
    found = resolve(preset, None, knobs)
    if sentences := contradictions(found):
        raise Contradiction("; ".join(sentences))
    return found.revision


async def check_profile(accounts: AccountStore, account: UUID | None, name: str) -> Profile:
    """The preset or the account's profile *name*; raises UnknownProfile if there is none."""
    own = {
        row["name"]: row for row in await accounts.own_profiles() if row["account_id"] == account
    }
    if (row := own.get(name)) is not None:
        return resolve(row["preset"], row["preset_revision"], row["knobs"])
    try:
        return resolve(name)
    except UnknownProfile as error:
        raise UnknownProfile(f"{error}; of the account: {', '.join(own) or 'none'}") from error


async def onboarding_of(accounts: AccountStore, name: str) -> Onboarding:
    """How domains of the account *name* are set up: as its users' profiles agree, else by records.

    Raises UnknownProfile and InvalidOverride.
    """
    own = {row["name"]: row for row in await accounts.own_profiles() if row["account"] == name}
    used = {row["profile"] for row in await accounts.credentials.find(account=name)}
    modes = {_profile(one, own.get(one)).domain.onboarding for one in used}
    return modes.pop() if len(modes) == 1 else Onboarding.RECORDS


def _profile(name: str, own: Any | None) -> Profile:
    if own is None:
        return resolve(name)
    return resolve(own["preset"], own["preset_revision"], own["knobs"])


async def check_bounce_address(accounts: AccountStore, owner: UUID, profile: Profile) -> None:
    """Raise NoBounceAddress if *profile* needs one and the account has none (RULES E04)."""
    if profile.bounces.address_required:
        settings = await accounts.settings.read(owner)
        if settings.bounce_address is None:
            raise NoBounceAddress(
                f"the profile {profile.name!r} needs a bounce address, and the account has none:"
                " see posthouse account set NAME --bounce-address"
            )
