"""Whether the tracking host of a sending domain can be used."""

from typing import NamedTuple


class HostState(NamedTuple):
    """A host that links in mail of one domain may lead to."""

    host: str  # in lower case
    trouble: str  # why it is not used now; "" if it is


NEVER_PROBED = "it was not probed yet"
NOT_PROBED = "it was not probed any more"


def host_state(host: str, finding: str | None, *, is_probed: bool, leads_here: bool) -> HostState:
    """*finding*: what the last probe found wrong; *leads_here*: one found it right a while ago.

    A host that fails for a moment is used all the same: its links work again when they are clicked.
    """
    if leads_here:
        return HostState(host, "")
    return HostState(host, finding or (NOT_PROBED if is_probed else NEVER_PROBED))
