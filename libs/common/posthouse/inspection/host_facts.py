"""Asks DNS how the world sees the hosts of this relay."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from posthouse.dns.resolver import Questions
from posthouse.dns.spf_tree import spf_tree
from posthouse.doctor.host_judges import AddressFacts, HostFacts, ReturnPathFacts
from posthouse.doctor.key_judges import ActiveKey
from posthouse.domains.setup_records import RelayHosts
from posthouse.domains.spf_record import VERSION
from posthouse.mail.dns_answer import DnsAnswer, values_of

# RFC 6761 section 6.4: no such name exists, so whoever finds one makes answers up.
_NO_NAME = "there-is-no-such-name.invalid"
_MOST_ADDRESSES = 16
_MOST_NAMES = 4  # of an address


@dataclass(frozen=True, slots=True)
class HostInspection:
    """Looks names and addresses up."""

    dns: Questions
    blocklists: Sequence[str] = ()  # zones
    nameservers: Sequence[str] = ()  # that *dns* asks, to be shown

    async def facts(
        self, relay: RelayHosts, keys: Sequence[ActiveKey] = (), *, sends_by_smarthost: bool
    ) -> HostFacts:
        """All that is judged; some dozen questions, and one for each of *keys*."""
        made_up = await self.dns.ask(_NO_NAME, "A")
        addresses = await self.dns.addresses(relay.sending)
        ours = () if sends_by_smarthost else values_of(addresses)[:_MOST_ADDRESSES]
        egress = await asyncio.gather(*map(self._address, ours))
        answers = await asyncio.gather(*(self.dns.ask(key.name, "TXT") for key in keys))
        return HostFacts(
            relay.sending,
            made_up,
            addresses,
            egress,
            await self._return_path(relay),
            sends_by_smarthost,
            tuple(self.nameservers),
            tuple(zip(keys, answers, strict=True)),
        )

    async def _address(self, address: str) -> AddressFacts:
        reverse = await self.dns.ask(ip_address(address).reverse_pointer, "PTR")
        names = values_of(reverse)[:_MOST_NAMES]
        forward = await asyncio.gather(*map(self.dns.addresses, names))
        listed = await asyncio.gather(*(self._listed(address, zone) for zone in self.blocklists))
        return AddressFacts(
            address,
            reverse,
            dict(zip(names, forward, strict=True)),
            dict(zip(self.blocklists, listed, strict=True)),
        )

    async def _listed(self, address: str, zone: str) -> DnsAnswer:
        # RFC 5782 section 2: the octets, or nibbles, reversed, as below in-addr.arpa and ip6.arpa.
        digits = ip_address(address).reverse_pointer.removesuffix(".arpa").rpartition(".")[0]
        return await self.dns.ask(f"{digits}.{zone}", "A")

    async def _return_path(self, relay: RelayHosts) -> ReturnPathFacts:
        host = relay.return_path_host
        mx, addresses, texts = await asyncio.gather(
            self.dns.ask(host, "MX"), self.dns.addresses(host), self.dns.ask(host, "TXT")
        )
        return ReturnPathFacts(
            host,
            relay.receiving,
            mx,
            addresses,
            await spf_tree(self.dns, host),
            values_of(texts),
            f"{VERSION} {relay.permission} -all",
        )
