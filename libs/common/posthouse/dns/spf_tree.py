"""Follows an SPF record to everything that it asks DNS for."""

from dataclasses import dataclass

from posthouse.dns.resolver import Questions
from posthouse.domains.spf_judging import SpfNode, SpfStep
from posthouse.domains.spf_record import is_spf
from posthouse.domains.spf_term import SpfTerm, terms_of
from posthouse.mail.dns_answer import DnsAnswer, Found, LookupFailed, values_of

_MOST_QUESTIONS = 60  # far behind the limit of receivers: enough to say by how much it is exceeded
_MOST_MX = 10  # RFC 7208 section 4.6.4


async def spf_tree(dns: Questions, domain: str) -> SpfNode:
    """The SPF record of *domain* with all that it leads to; a loop is a problem of a step."""
    return await _Walk(dns).node(domain, ())


@dataclass(slots=True)
class _Walk:
    dns: Questions
    questions: int = 0

    async def node(self, domain: str, path: tuple[str, ...]) -> SpfNode:
        answer = await self._ask(domain, "TXT")
        if isinstance(answer, LookupFailed):
            return SpfNode(domain, (), failed=answer.reason)
        records = tuple(filter(is_spf, values_of(answer)))
        if len(records) != 1:
            return SpfNode(domain, records, is_void=not isinstance(answer, Found))
        terms = terms_of(records[0])
        # An error fails the record wherever it is, before anything is looked up.
        steps = [SpfStep(term, problem=term.error) for term in terms if term.error]
        reached = () if steps else _reached(terms)
        steps += [await self._step(term, domain, (*path, domain)) for term in reached]
        return SpfNode(domain, records, tuple(steps))

    async def _step(self, term: SpfTerm, domain: str, path: tuple[str, ...]) -> SpfStep:
        match term.name:
            case "include" | "redirect":
                return await self._other_record(term, path)
            case "ip4" | "ip6":
                return SpfStep(term, (term.value,))
            case "a" | "mx" | "exists":
                return await self._hosts(term, term.value or domain)
        return SpfStep(term)

    async def _other_record(self, term: SpfTerm, path: tuple[str, ...]) -> SpfStep:
        name = term.value.rstrip(".").lower()
        if "%" in name:  # a macro: another name for each sender
            return SpfStep(term)
        if name in path:
            return SpfStep(term, problem=f"a loop: {' -> '.join((*path, name))}")
        if self.questions > _MOST_QUESTIONS:
            return SpfStep(term)
        return SpfStep(term, child=await self.node(name, path))

    async def _hosts(self, term: SpfTerm, name: str) -> SpfStep:
        if "%" in name or self.questions > _MOST_QUESTIONS:
            return SpfStep(term)
        answer: DnsAnswer
        if term.name == "mx":
            answer = await self._ask(name, "MX")
            hosts = tuple(value.rpartition(" ")[2] for value in values_of(answer))
            if len(hosts) > _MOST_MX:
                return SpfStep(
                    term, problem=f"{name} has {len(hosts)} MX records, at most 10 count"
                )
            found = [await self.dns.addresses(host) for host in hosts if host]
            addresses = tuple(a for one in found for a in values_of(one))
        elif term.name == "exists":
            answer, addresses = await self._ask(name, "A"), ()
        else:
            self.questions += 1
            answer = await self.dns.addresses(name)
            addresses = values_of(answer)
        if isinstance(answer, LookupFailed):
            return SpfStep(term, failed=answer.reason)
        there = isinstance(answer, Found)
        exists = there and term.name == "exists"
        return SpfStep(term, addresses, exists=exists, is_void=not there)

    async def _ask(self, name: str, kind: str) -> DnsAnswer:
        self.questions += 1
        return await self.dns.ask(name, kind)


def _reached(terms: tuple[SpfTerm, ...]) -> tuple[SpfTerm, ...]:
    """Mechanisms up to "all"; redirect counts where there is no "all", and last of all."""
    end = next((at + 1 for at, t in enumerate(terms) if t.name == "all" and t.qualifier), None)
    mechanisms = tuple(term for term in terms[:end] if term.qualifier)
    redirects = () if end else tuple(t for t in terms if not t.qualifier and t.name == "redirect")
    return mechanisms + redirects
