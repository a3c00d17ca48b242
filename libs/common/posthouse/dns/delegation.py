"""Walks from the parent of a domain to its name servers, without the caches of a resolver."""

import asyncio
from collections.abc import Iterable

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from posthouse.dns.resolver import DNS_PORT, QUESTION_TIMEOUT, Questions, value_of
from posthouse.domains.findings import Delegation
from posthouse.mail.dns_answer import Found, LookupFailed, values_of

_MOST_SERVERS = 6  # of the parent that are asked
_MOST_ADDRESSES = 4  # of one server that are tried: its zone may name any number that are silent


async def walk(
    questions: Questions, domain: str, servers: Iterable[str], *, port: int = DNS_PORT
) -> Delegation | LookupFailed:
    """What the name servers of the parent of *domain* say, and whether *servers* serve it.

    *questions* finds the parent and the addresses of servers; the servers themselves are asked
    on *port*, without recursion.
    """
    parent = await _parent(questions, domain)
    if isinstance(parent, LookupFailed):
        return parent
    name, hosts = parent
    asked = hosts[:_MOST_SERVERS]
    said = await asyncio.gather(*(_referral(questions, host, domain, port) for host in asked))
    found = dict(zip(asked, said, strict=True))
    ours = tuple(servers)
    served = await asyncio.gather(*(_why_lame(questions, host, domain, port) for host in ours))
    return Delegation(
        parent=name,
        referrals={host: one for host, one in found.items() if not isinstance(one, str)},
        silent={host: one for host, one in found.items() if isinstance(one, str)},
        lame={host: why for host, why in zip(ours, served, strict=True) if why},
    )


async def _parent(questions: Questions, domain: str) -> tuple[str, tuple[str, ...]] | LookupFailed:
    """The zone above *domain*, and its name servers."""
    labels = domain.split(".")
    for at in range(1, len(labels)):
        zone = ".".join(labels[at:])
        answer = await questions.ask(zone, "NS")
        if isinstance(answer, Found):
            return zone, answer.values
        if isinstance(answer, LookupFailed):
            return LookupFailed(f"{zone}: {answer.reason}")
    return LookupFailed(f"no zone above {domain} has name servers")


async def _referral(
    questions: Questions, host: str, domain: str, port: int
) -> tuple[str, ...] | str:
    """The servers that *host* refers to for *domain*, none if it refers to none; or why unknown."""
    response = await _ask_server(questions, host, domain, "NS", port)
    if isinstance(response, str):
        return response
    if response.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return dns.rcode.to_text(response.rcode())
    # A server that has the domain's own zone too answers; any other refers.
    return _nameservers(domain, (*response.answer, *response.authority))


def _nameservers(domain: str, rrsets: Iterable[dns.rrset.RRset]) -> tuple[str, ...]:
    return tuple(
        value_of(record)
        for rrset in rrsets
        if rrset.rdtype == dns.rdatatype.NS
        and rrset.name.to_text(omit_final_dot=True).lower() == domain
        for record in rrset
    )


async def _why_lame(questions: Questions, host: str, domain: str, port: int) -> str:
    """Why *host* does not serve *domain*; "" if it does."""
    response = await _ask_server(questions, host, domain, "SOA", port)
    if isinstance(response, str):
        return response
    if response.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(response.rcode())
    served = response.flags & dns.flags.AA and any(
        rrset.rdtype == dns.rdatatype.SOA for rrset in response.answer
    )
    return "" if served else "it does not have the zone"


async def _ask_server(
    questions: Questions, host: str, domain: str, kind: str, port: int
) -> dns.message.Message | str:
    """What the server *host* answers; or why there is no answer."""
    addresses = await questions.addresses(host)
    if not isinstance(addresses, Found):
        return addresses.reason if isinstance(addresses, LookupFailed) else "it has no address"
    query = dns.message.make_query(domain, kind)
    query.flags &= ~dns.flags.RD
    reason = ""
    for address in values_of(addresses)[:_MOST_ADDRESSES]:
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, address, timeout=QUESTION_TIMEOUT, port=port
            )
        except (dns.exception.DNSException, OSError, EOFError) as error:  # EOF: in TCP
            reason = f"{address}: {' '.join(str(error).split()) or type(error).__name__}"
        else:
            return response
    return reason
