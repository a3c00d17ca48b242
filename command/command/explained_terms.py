"""What `explain message` says about reports to the sender and about messages that come again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.dsn_request import NOTHING_ASKED, DsnRequest, Notify
from posthouse.mail.submission import Submission
from posthouse.mail.terms import IdempotencyKey, Resubmission
from posthouse.profiles import Profile


def reports(accepted: Submission, profile: Profile, *, account_wants: bool) -> dict[str, Any]:
    """Who hears what of each recipient (RFC 3461), as data."""
    asked = accepted.attributes.dsn or DsnRequest()
    told: dict[str, Any] = {
        "to": accepted.sender,
        "asked": asked.parameters.strip(),
        "none_because": _silence(accepted, profile, account_wants=account_wants),
        "recipients": [],
    }
    for address in accepted.recipients:
        one = asked.recipients.get(address, NOTHING_ASKED)
        of = [] if told["none_because"] else [what.value for what in Notify if one.wants(what)]
        told["recipients"].append({"address": address, "of": of, "asked": one.parameters.strip()})
    return told


def _silence(accepted: Submission, profile: Profile, *, account_wants: bool) -> str:
    if not accepted.sender:
        return "it is from <>"
    if not profile.bounces.dsn_to_sender:
        return "the profile turns them off"
    return "" if account_wants else "the account has turned them off"


def report_lines(told: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    asked = f" ({told['asked']})" if told["asked"] else ""
    if told["none_because"]:
        yield f"reports{asked}: none, because {told['none_because']}"
    else:
        yield f"reports to {told['to']}{asked}:"
    for one in told["recipients"]:
        given = f" ({one['asked']})" if one["asked"] else ""
        if given or not told["none_because"]:
            yield f"  {one['address']}: {', '.join(one['of']) or 'nothing'}{given}"


def resubmission(
    mode: Resubmission,
    window: timedelta,
    key: IdempotencyKey | None,
    first: tuple[UUID, datetime] | None,
) -> dict[str, Any]:
    """How the message is known when it is submitted again, as data.

    *first*: what was accepted under *key*, and until when it counts.
    """
    return {
        "mode": mode.value,
        "window_minutes": window.total_seconds() / 60,
        "known_by": None if key is None else "key" if key.mode is None else "octets",
        "key": key.text if key and key.mode is None else None,
        "counts_for_minutes": key and key.counts_for.total_seconds() / 60,
        "accepted_before": first and first[0].hex,
        "known_until": first and first[1].isoformat(),
    }


def resubmission_lines(told: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    match told["known_by"]:
        case "key":
            how = f"known by its key {told['key']} for {_minutes(told['counts_for_minutes'])}"
        case "octets":
            how = f"{told['mode']}: known by its octets for {_minutes(told['counts_for_minutes'])}"
        case _ if told["mode"] == Resubmission.OFF:
            how = "off: each time another message"
        case _:
            how = f"{told['mode']}, for {_minutes(told['window_minutes'])}"
    yield f"submitted again: {how}"
    if told["accepted_before"]:
        until = f"{told['known_until'][:16]}".replace("T", " ")
        yield f"  it is a repeat of {told['accepted_before']}, which counts until {until}"


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f} min"
