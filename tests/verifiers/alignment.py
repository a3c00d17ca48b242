"""Whether a message passes DMARC, as a receiver computes it (RFC 7489), in relaxed mode."""

from collections.abc import Collection
from email import message_from_bytes, policy
from functools import cache

from publicsuffixlist import PublicSuffixList


def passes(content: bytes, *, spf: Collection[str], dkim: Collection[str]) -> bool:
    """Whether one of the domains that SPF or DKIM authenticated is aligned with that of From.

    *spf* and *dkim*: the domains of what passed. A message without exactly one author is none
    that DMARC passes (section 6.6.1).
    """
    fields = message_from_bytes(content, policy=policy.default).get_all("From", [])
    authors = [address for field in fields for address in field.addresses]
    if len(authors) != 1:
        return False
    return any(are_aligned(authors[0].domain, domain) for domain in (*spf, *dkim))


def are_aligned(one: str, other: str) -> bool:
    """Whether both have the same organizational domain (sections 3.1 and 3.2)."""
    return organizational_domain(one) == organizational_domain(other)


def organizational_domain(domain: str) -> str:
    """The label below the public suffix, and the suffix; a public suffix is its own."""
    name = domain.lower().rstrip(".")
    return _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
