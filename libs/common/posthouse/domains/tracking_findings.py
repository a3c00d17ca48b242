"""What is found of the tracking host of a domain (RULES T26)."""

from posthouse.domains.findings import Finding, FindingState
from posthouse.domains.setup_records import RecordPurpose
from posthouse.mail.dns_answer import DnsAnswer, LookupFailed, values_of
from posthouse.tracking.host_state import HostState


def judge_tracking(
    own: HostState, target: str | None, cname: DnsAnswer, at: DnsAnswer, relay: DnsAnswer
) -> Finding:
    """Whether the host of a domain leads to the relay's, *target*.

    *at* and *relay* are the addresses of both: some providers publish them in the place of a CNAME
    record. A host that a probe has found to lead here is right, whatever stands before us.
    """
    seen = values_of(cname) or values_of(at)
    state, mend = FindingState.RIGHT, ""
    if target is None:
        state = FindingState.WRONG
        mend = "the relay has no tracking host that it could lead to: set POSTHOUSE_TRACKING_URL"
    elif not own.trouble:
        pass
    elif values_of(cname) == (target,) or _is_subset(at, relay):
        state, mend = FindingState.ADVICE, f"links do not lead there yet: {own.trouble}"
    elif isinstance(cname, LookupFailed):
        state = FindingState.UNKNOWN
        mend = f"DNS gave no answer ({cname.reason}): try again, or ask who runs its name servers"
    else:
        state = FindingState.WRONG
        mend = "it leads elsewhere: change it" if seen else "there is no CNAME record: publish it"
    shown = target or "a host of the relay"
    return Finding(RecordPurpose.TRACKING, own.host, "CNAME", shown, seen, state, mend)


def _is_subset(at: DnsAnswer, relay: DnsAnswer) -> bool:
    return bool(values_of(at)) and set(values_of(at)) <= set(values_of(relay))
