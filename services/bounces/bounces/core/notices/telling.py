"""Decides whether somebody is told of a result (RFC 5321 section 6.1, RFC 3834)."""

from enum import StrEnum

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.due_results import DueResults, Means
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.profiles import Profile


class Silence(StrEnum):
    """Why nobody is told."""

    TURNED_OFF = "turned_off"  # the profile says so
    OWN_HOST = "own_host"  # it would come back to us
    AUTO_REPLY = "auto_reply"  # an automatic reply must not be answered
    GONE = "gone"  # the submission is past its retention


def why_not(told: DueResults, profile: Profile, *, to_us: bool) -> Silence | None:
    """Why *told* is told to nobody; *to_us*: its address leads back here. None: send a notice.

    Messages from the null reverse-path never come here. A message that is generated and no reply
    is reported: its sender wants to know, and the report is never answered.
    """
    if not told.sender:
        return Silence.GONE
    if to_us:
        return Silence.OWN_HOST
    if told.means is Means.FORWARD:
        return None
    if not profile.bounces.dsn_to_sender:
        return Silence.TURNED_OFF
    submitted = Header.parse(told.header).first("Auto-Submitted") or ""
    if submitted.lower().startswith("auto-replied"):
        return Silence.AUTO_REPLY
    return None


def lane_of(told: DueResults) -> Lane:
    """The lane of the notice: never above other mail."""
    return Lane.NORMAL if told.lane <= Lane.NORMAL else Lane.LOW


def host_of(address: str) -> str:
    """The domain of *address* as DNS knows it; "" if there is none."""
    try:
        return Address.parse(address).ascii_domain
    except InvalidAddress:
        return ""
