"""Profiles of a relay whose operator allows verified senders only."""

from dataclasses import replace

from posthouse.profiles import Profile
from posthouse.profiles.choices import (
    CheckedSender,
    EmptyListMeans,
    FromPolicy,
    SenderCheck,
    SenderList,
)

_BLOCKING = {SenderCheck.OFF: SenderCheck.BLOCK, SenderCheck.ALERT: SenderCheck.BLOCK_AND_ALERT}


def only_verified(profile: Profile) -> Profile:
    """*profile* for senders at verified domains of the account, and no others.

    Closed are an empty list that allows all (RULES U15), senders that the account only hears of
    (U16), and those that get a Sender field (C15). A From that is rewritten needs no check.
    """
    sender = profile.sender
    is_rewritten = sender.from_policy is FromPolicy.REWRITE_FROM_ENVELOPE
    has_lists = bool(sender.authorized_domains or sender.authorized_senders)
    closed = replace(
        sender,
        check=_BLOCKING.get(sender.check, sender.check),
        check_on=(
            sender.check_on
            if is_rewritten and sender.check_on is CheckedSender.MAIL_FROM
            else CheckedSender.BOTH
        ),
        checked_against=sender.checked_against if has_lists else SenderList.VERIFIED,
        listed_are_verified=True,
        empty_list_means=EmptyListMeans.NONE,
    )
    return replace(profile, sender=closed)
