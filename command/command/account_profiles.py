"""Profiles of accounts: a preset with some of its knobs changed."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from command.provisioning import NameTaken
from posthouse.profiles import InvalidOverride, UnknownProfile, resolve
from posthouse.store.accounts import AccountStore


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

    Raises NameTaken, UnknownProfile and InvalidOverride.
    """
    try:
        resolve(name)
    except UnknownProfile:
        return resolve(preset, None, knobs).revision
    raise NameTaken(f"{name!r} is a preset: give the account's profile another name")


async def check_profile(accounts: AccountStore, account: UUID | None, name: str) -> None:
    """Raise UnknownProfile unless *name* is a preset or a profile of the account."""
    own = [row["name"] for row in await accounts.own_profiles() if row["account_id"] == account]
    if name in own:
        return
    try:
        resolve(name)
    except UnknownProfile as error:
        raise UnknownProfile(f"{error}; of the account: {', '.join(own) or 'none'}") from error
