"""Flags of messages as options of commands: on, off, or as the profile says."""

from collections.abc import Callable, Mapping
from functools import reduce, wraps
from typing import Any, TypeVar

import click

from posthouse.mail.message_flag import Flags, MessageFlag

T = TypeVar("T")

_ON, _OFF, _PROFILE = "on", "off", "profile"
_VALUES = {_ON: True, _OFF: False, _PROFILE: None}
_HELP = {
    MessageFlag.OPEN_TRACKING: "Whether opens are tracked.",
    MessageFlag.CLICK_TRACKING: "Whether clicks are tracked.",
    MessageFlag.CHECK_UNSUBSCRIBES: "Whether the unsubscribe list applies.",
    MessageFlag.CHECK_BOUNCES: "Whether the bounce list applies.",
    MessageFlag.LIST_HEADER: "Whether the header of the list is put before its messages.",
    MessageFlag.LIST_FOOTER: "Whether the footer of the list is put behind its messages.",
    MessageFlag.UNSUBSCRIBE: "Whether mail says how to unsubscribe from it (List-Unsubscribe).",
}


def flag_options(command: Callable[..., T]) -> Callable[..., T]:
    """Let a command take an option for each flag, as its argument *flags*: those that are given."""

    @wraps(command)
    def with_flags(**given: Any) -> T:
        chosen = {flag: given.pop(flag.value) for flag in MessageFlag}
        flags = {flag: _VALUES[word] for flag, word in chosen.items() if word is not None}
        return command(flags=flags, **given)

    taking: Callable[..., T] = with_flags
    return reduce(lambda decorated, flag: _option(flag)(decorated), reversed(MessageFlag), taking)


def said(flags: Flags) -> str:
    """*flags* for people: "open tracking on, check bounces off"."""
    return ", ".join(
        f"{flag.replace('_', ' ')} {_ON if flags[flag] else _OFF}"
        for flag in MessageFlag
        if flag in flags
    )


def as_words(flags: Flags) -> Mapping[str, str]:
    """Every flag with its word, for programs."""
    return {
        flag.value: _PROFILE if flag not in flags else _ON if flags[flag] else _OFF
        for flag in MessageFlag
    }


def _option(flag: MessageFlag) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        f"--{flag.value.replace('_', '-')}", type=click.Choice(list(_VALUES)), help=_HELP[flag]
    )
