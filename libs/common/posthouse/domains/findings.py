"""What a look into DNS found: expected beside seen, each with what to change."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from posthouse.domains.key_text import differs
from posthouse.domains.setup_records import (
    DMARC_ADVICE,
    DomainSetup,
    PublishedKey,
    RecordPurpose,
    key_record,
)
from posthouse.mail.dns_answer import DnsAnswer, Found, LookupFailed, NoSuchName, values_of

_DMARC = "v=dmarc1"
_POLICIES = frozenset({"none", "quarantine", "reject"})


class FindingState(StrEnum):
    """What a finding means."""

    RIGHT = "right"
    ADVICE = "advice"  # mail passes all the same
    WRONG = "wrong"
    UNKNOWN = "unknown"  # DNS gave no answer


@dataclass(frozen=True, slots=True)
class Finding:
    """One record, as it should be and as DNS shows it."""

    purpose: RecordPurpose
    name: str
    type: str
    expected: str
    seen: tuple[str, ...]
    state: FindingState
    mend: str = ""  # what to change; "" if nothing


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the servers of the parent say of a domain, and whether its own servers have it."""

    parent: str
    referrals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by server asked
    silent: Mapping[str, str] = field(default_factory=dict)  # servers without an answer, and why
    lame: Mapping[str, str] = field(default_factory=dict)  # our servers that do not serve it


def judge_delegation(setup: DomainSetup, walked: Delegation | LookupFailed) -> Finding:
    """Whether the parent delegates the domain to our name servers, and these serve it (E03)."""
    expected = frozenset(setup.relay.nameservers)
    seen: tuple[str, ...] = ()
    if isinstance(walked, LookupFailed) or not walked.referrals:
        reason = walked.reason if isinstance(walked, LookupFailed) else _told(walked.silent)
        state, mend = FindingState.UNKNOWN, f"the parent's servers gave no answer: {reason}"
    else:
        seen = tuple(sorted({host for hosts in walked.referrals.values() for host in hosts}))
        wrong = _wrong_referrals(setup.name, walked, expected)
        if wrong:
            state, mend = FindingState.WRONG, wrong
        elif walked.lame:
            state = FindingState.WRONG
            mend = (
                f"load the zone that `posthouse domain records {setup.name} --zone` prints: "
                f"{_told(walked.lame)}"
            )
        else:
            state, mend = FindingState.RIGHT, ""
    shown = " ".join(sorted(expected))
    return Finding(RecordPurpose.DELEGATION, setup.name, "NS", shown, seen, state, mend)


def _wrong_referrals(name: str, walked: Delegation, expected: Collection[str]) -> str:
    for server, hosts in walked.referrals.items():
        if not hosts:
            add = "add NS records"
            return f"{walked.parent} does not delegate {name} (asked {server}): {add}"
        missing, extra = sorted(set(expected) - set(hosts)), sorted(set(hosts) - set(expected))
        if missing or extra:
            add = f"add NS {' '.join(missing)}" if missing else ""
            remove = f"remove NS {' '.join(extra)}" if extra else ""
            both = " and ".join(filter(None, (add, remove)))
            return f"in the zone {walked.parent}, as {server} has it: {both}"
    return ""


def _told(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{host}: {reason}" for host, reason in reasons.items())


def judge_key(
    setup: DomainSetup, key: PublishedKey, answer: DnsAnswer, doubled: DnsAnswer
) -> Finding:
    """Whether receivers find the key *key*.

    *doubled* is the answer for its name with the domain appended once more, as some forms do.
    """
    name, seen = setup.key_name(key.selector), values_of(answer)
    if isinstance(answer, LookupFailed):
        return _unknown(RecordPurpose.DKIM, name, "TXT", key.text, answer)
    mend = differs(key.text, seen)
    if mend and isinstance(doubled, Found):
        mend = (
            f"it was published as {name}.{setup.name}: the form appends the domain, so enter "
            f"{name.removesuffix(f'.{setup.name}')} as the name"
        )
    elif mend and setup.key_zone is not None:
        mend = f"in your zone {setup.key_zone}, at {key_record(setup, key).name}: {mend}"
    state = FindingState.WRONG if key.state == "active" else FindingState.ADVICE
    if mend and key.state == "published":
        mend = f"{mend} (it does not sign yet)"
    if mend and key.state == "retired":
        mend = f"{mend} (mail that it signed may still be on its way)"
    return Finding(
        RecordPurpose.DKIM, name, "TXT", key.text, seen, state if mend else FindingState.RIGHT, mend
    )


def judge_alias(setup: DomainSetup, selector: str, answer: DnsAnswer, text: DnsAnswer) -> Finding:
    """Whether the CNAME record of a selector leads to our zone; *text*: the TXT records there."""
    name, target = setup.key_name(selector), setup.key_target(selector)
    if isinstance(answer, LookupFailed):
        return _unknown(RecordPurpose.DKIM, name, "CNAME", target, answer)
    seen = values_of(answer)
    if seen == (target,):
        return Finding(RecordPurpose.DKIM, name, "CNAME", target, seen, FindingState.RIGHT)
    if not seen and isinstance(text, Found):
        mend = "there is a TXT record, so a new key would not be seen: publish CNAME in its place"
    else:
        mend = "it leads elsewhere: change it" if seen else "there is no CNAME record: publish it"
    return Finding(RecordPurpose.DKIM, name, "CNAME", target, seen, FindingState.WRONG, mend)


def judge_mx(
    purpose: RecordPurpose, host: str, receiving: str, mx: DnsAnswer, addresses: DnsAnswer
) -> Finding:
    """Whether mail for *host* comes to the host *receiving*; *addresses* are those of *host*."""
    expected = f"10 {receiving}"
    if isinstance(mx, LookupFailed):
        return _unknown(purpose, host, "MX", expected, mx)
    seen = values_of(mx)
    if any(value.rpartition(" ")[2] == receiving for value in seen):
        others = [v for v in seen if v.rpartition(" ")[2] != receiving]
        mend = f"returned mail may also go to {', '.join(others)}: remove it" if others else ""
        state = FindingState.ADVICE if others else FindingState.RIGHT
        return Finding(purpose, host, "MX", expected, seen, state, mend)
    if host == receiving and not seen and isinstance(addresses, Found):
        return Finding(purpose, host, "MX", expected, addresses.values, FindingState.RIGHT)
    mend = (
        "returned mail goes elsewhere: change it" if seen else "returned mail is lost: publish it"
    )
    return Finding(purpose, host, "MX", expected, seen, FindingState.WRONG, mend)


def judge_dmarc(setup: DomainSetup, answers: Mapping[str, DnsAnswer]) -> Finding:
    """The DMARC policy that receivers find, of *answers* by the domain asked, closest first."""
    name = f"_dmarc.{setup.name}"
    for domain, answer in answers.items():
        if isinstance(answer, LookupFailed):
            return _unknown(RecordPurpose.DMARC, f"_dmarc.{domain}", "TXT", DMARC_ADVICE, answer)
        seen = tuple(v for v in values_of(answer) if v.lower().startswith(_DMARC))
        if not seen:
            continue
        state, mend = _policy(setup, seen)
        return Finding(
            RecordPurpose.DMARC, f"_dmarc.{domain}", "TXT", DMARC_ADVICE, seen, state, mend
        )
    mend = "large receivers want one: publish it, with rua=mailto:ADDRESS to get reports"
    state = FindingState.ADVICE
    return Finding(RecordPurpose.DMARC, name, "TXT", DMARC_ADVICE, (), state, mend)


def _policy(setup: DomainSetup, seen: tuple[str, ...]) -> tuple[FindingState, str]:
    if len(seen) > 1:
        return FindingState.WRONG, f"there are {len(seen)}, so none counts: leave one"
    pairs = (part.partition("=") for part in seen[0].split(";"))
    tags = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
    if tags.get("p") not in _POLICIES:
        return (
            FindingState.WRONG,
            f"p={tags.get('p', '')} is no policy: p=none, quarantine or reject",
        )
    if tags.get("aspf") == "s" and setup.return_path_host != setup.name:
        return FindingState.ADVICE, "aspf=s: SPF does not align, and DKIM alone carries the mail"
    return FindingState.RIGHT, ""


def judge_relay(host: str, addresses: DnsAnswer) -> Finding:
    """Whether our own host has addresses, which receivers look up."""
    if isinstance(addresses, LookupFailed):
        return _unknown(RecordPurpose.RELAY, host, "A", "an address", addresses)
    if isinstance(addresses, Found):
        right = FindingState.RIGHT
        return Finding(RecordPurpose.RELAY, host, "A", "an address", addresses.values, right)
    what = "does not exist" if addresses == NoSuchName() else "has no address"
    mend = f"the relay's own name {what}: publish its addresses, or correct POSTHOUSE_HOSTNAME"
    return Finding(RecordPurpose.RELAY, host, "A", "an address", (), FindingState.WRONG, mend)


def _unknown(
    purpose: RecordPurpose, name: str, kind: str, expected: str, answer: LookupFailed
) -> Finding:
    mend = f"DNS gave no answer ({answer.reason}): try again, or ask who runs its name servers"
    return Finding(purpose, name, kind, expected, (), FindingState.UNKNOWN, mend)
