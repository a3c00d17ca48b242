"""Whether receivers find the keys that sign mail of sending domains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from posthouse.doctor.check_result import CheckName, CheckResult, right, unknown, wrong
from posthouse.domains.key_text import differs
from posthouse.mail.dns_answer import DnsAnswer, LookupFailed, values_of


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """An active DKIM key of a domain that may send."""

    domain: str
    selector: str
    text: str  # of its TXT record

    @property
    def name(self) -> str:
        """Where receivers look for it (RFC 6376 section 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def judge_keys(keys: Sequence[tuple[ActiveKey, DnsAnswer]]) -> Iterator[CheckResult]:
    """A result for each key that is not as it should be, and one for all others."""
    found = silent = 0
    for key, answer in keys:
        if isinstance(answer, LookupFailed):
            silent += 1
        elif seen := differs(key.text, values_of(answer)):
            mend = f"posthouse domain check {key.domain}: it says what its owner has to publish"
            yield wrong(CheckName.DOMAIN_KEYS, key.name, seen, mend)
        else:
            found += 1
    if silent:
        seen, mend = f"DNS gave no answer about {silent} keys", "try again later"
        yield unknown(CheckName.DOMAIN_KEYS, "DKIM keys", seen, mend)
    if found:
        yield right(CheckName.DOMAIN_KEYS, "DKIM keys", f"{found} are found by receivers")
