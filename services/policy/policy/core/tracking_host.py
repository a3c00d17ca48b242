"""The host that links of a message lead to."""

from policy.core.facts import Facts, TrackingHost
from posthouse.tracking.tracked_body import Untracked


def tracking_host(facts: Facts, domain: str) -> TrackingHost | Untracked:
    """The host for mail of *domain*, that of From; or why there is none."""
    del domain  # all have the relay's own
    host = facts.relay.tracking
    if host is None or not host.url:
        return Untracked("POSTHOUSE_TRACKING_URL is not set")
    return host
