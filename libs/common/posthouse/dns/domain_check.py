"""Looks a domain up as receivers of its mail do, and says what they find."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.dns.delegation import walk
from posthouse.dns.resolver import DNS_PORT, Questions
from posthouse.dns.spf_tree import spf_tree
from posthouse.domains.findings import (
    Finding,
    FindingState,
    judge_alias,
    judge_delegation,
    judge_dmarc,
    judge_key,
    judge_mx,
    judge_relay,
)
from posthouse.domains.setup_records import DomainSetup, PublishedKey, RecordPurpose
from posthouse.domains.spf_findings import judge_spf
from posthouse.domains.spf_record import VERSION, UnusableSpf, is_spf, merge_spf
from posthouse.domains.tracking_findings import judge_tracking
from posthouse.mail.dns_answer import DnsAnswer, LookupFailed, NoRecords, NoSuchName, values_of
from posthouse.profiles.choices import Onboarding


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """Asks *dns* what receivers ask, and name servers themselves on *port*."""

    dns: Questions
    port: int = DNS_PORT

    async def findings(self, setup: DomainSetup) -> tuple[Finding, ...]:
        """All that is expected of the domain, beside what is seen; raises NoNameservers."""
        delegation = await self._delegation(setup)
        relay = await self.dns.addresses(setup.relay.sending)
        parts = await asyncio.gather(
            self._spf(setup, values_of(relay)),
            self._keys(setup),
            self._return_path(setup, values_of(relay)),
            self._tracking(setup),
            self._dmarc(setup),
        )
        ours = judge_relay(setup.relay.sending, relay)
        return (ours, *delegation, *(finding for part in parts for finding in part))

    async def key_findings(
        self, setup: DomainSetup, keys: Sequence[PublishedKey]
    ) -> tuple[Finding, ...]:
        """Whether receivers find *keys* of the domain."""
        return tuple(await asyncio.gather(*(self._key(setup, key) for key in keys)))

    async def _delegation(self, setup: DomainSetup) -> tuple[Finding, ...]:
        if setup.onboarding is not Onboarding.DELEGATION:
            return ()
        walked = await walk(self.dns, setup.name, setup.relay.delegated_to, port=self.port)
        return (judge_delegation(setup, walked),)

    async def _spf(self, setup: DomainSetup, relay: Sequence[str]) -> tuple[Finding, ...]:
        answer = await self.dns.ask(setup.name, "TXT")
        found = tuple(filter(is_spf, values_of(answer)))
        try:
            expected = merge_spf(found, setup.relay.permission)
        except UnusableSpf:  # what is wrong is said by the judge
            expected = merge_spf((), setup.relay.permission)
        tree = await spf_tree(self.dns, setup.name)
        return (judge_spf(RecordPurpose.SPF, tree, values_of(answer), expected, relay),)

    async def _keys(self, setup: DomainSetup) -> tuple[Finding, ...]:
        if not any(key.state == "active" for key in setup.keys):
            mend = f"no key signs: posthouse domain keys add {setup.name}, then activate it"
            name = f"_domainkey.{setup.name}"
            wrong = FindingState.WRONG
            return (Finding(RecordPurpose.DKIM, name, "TXT", "an active key", (), wrong, mend),)
        if setup.key_zone is None:
            return await self.key_findings(setup, setup.keys)
        aliases = await asyncio.gather(*(self._alias(setup, slot) for slot in setup.slots))
        right = {a.name for a in aliases if a.state is FindingState.RIGHT}
        led = [key for key in setup.keys if setup.key_name(key.selector) in right]
        return (*aliases, *await self.key_findings(setup, led))

    async def _alias(self, setup: DomainSetup, selector: str) -> Finding:
        name = setup.key_name(selector)
        answer, text = await self.dns.ask(name, "CNAME"), await self.dns.ask(name, "TXT")
        return judge_alias(setup, selector, answer, text)

    async def _key(self, setup: DomainSetup, key: PublishedKey) -> Finding:
        name = setup.key_name(key.selector)
        answer = await self.dns.ask(name, "TXT")
        doubled: DnsAnswer = NoRecords()
        if isinstance(answer, NoSuchName) and setup.key_zone is None:
            doubled = await self.dns.ask(f"{name}.{setup.name}", "TXT")
        return judge_key(setup, key, answer, doubled)

    async def _return_path(self, setup: DomainSetup, relay: Sequence[str]) -> tuple[Finding, ...]:
        host = setup.return_path_host or setup.relay.return_path_host
        purpose, receiving = RecordPurpose.RETURN_PATH, setup.relay.receiving
        mx, addresses = await self.dns.ask(host, "MX"), await self.dns.addresses(host)
        findings = [judge_mx(purpose, host, receiving, mx, addresses)]
        if setup.return_path_host is not None and host != setup.name:
            tree, texts = await spf_tree(self.dns, host), await self.dns.ask(host, "TXT")
            expected = f"{VERSION} {setup.relay.permission} -all"
            findings.append(judge_spf(purpose, tree, values_of(texts), expected, relay))
        return tuple(findings)

    async def _tracking(self, setup: DomainSetup) -> tuple[Finding, ...]:
        own, target = setup.tracking, setup.relay.tracking_host
        if own is None:
            return ()
        cname, at = await self.dns.ask(own.host, "CNAME"), await self.dns.addresses(own.host)
        relay = NoRecords() if target is None else await self.dns.addresses(target)
        return (judge_tracking(own, target, cname, at, relay),)

    async def _dmarc(self, setup: DomainSetup) -> tuple[Finding, ...]:
        labels = setup.name.split(".")
        answers: dict[str, DnsAnswer] = {}
        # RFC 7489 section 6.6.3 asks the domain, then its organizational domain. That is one above
        # it, but no top-level one; asking all of them needs no list of public suffixes.
        for at in range(max(1, len(labels) - 1)):
            domain = ".".join(labels[at:])
            answers[domain] = await self.dns.ask(f"_dmarc.{domain}", "TXT")
            texts = values_of(answers[domain])
            if isinstance(answers[domain], LookupFailed) or any(
                text.lower().startswith("v=dmarc1") for text in texts
            ):
                break
        return (judge_dmarc(setup, answers),)
