"""The host that links of a message lead to."""

from policy.core.facts import DomainKeys, Facts, TrackingHost
from posthouse.tracking.host_state import HostState
from posthouse.tracking.tracked_body import Untracked

_UNSET = "POSTHOUSE_TRACKING_URL is not set"


def tracking_host(facts: Facts, domain: str) -> TrackingHost | Untracked:
    """The host for mail of *domain*, that of From; or why there is none.

    It is the domain's own if that was found to lead here, and else the relay's: a link must work
    (RULES T26).
    """
    relay = facts.relay.tracking
    if relay is None:
        return Untracked(_UNSET)
    own = _own(facts, domain)
    if own is None:
        return relay if relay.url else Untracked(_UNSET)
    if not own.trouble:
        return TrackingHost(f"https://{own.host}", relay.key)
    trouble = f"the tracking host {own.host} is not used: {own.trouble}"
    if not relay.url:
        return Untracked(f"{trouble}; and {_UNSET}")
    return relay._replace(note=f"{trouble}; links lead to {relay.url}")


def hosts_of_links(facts: Facts, domain: str) -> frozenset[str]:
    """The hosts that links in mail of *domain* lead to, now or at other times."""
    relay, own = facts.relay.tracking, _own(facts, domain)
    names = (relay.host if relay else "", own.host if own else "")
    return frozenset(filter(None, names))


def _own(facts: Facts, domain: str) -> HostState | None:
    known = facts.domains.get(domain)
    return known.tracking if isinstance(known, DomainKeys) else None
