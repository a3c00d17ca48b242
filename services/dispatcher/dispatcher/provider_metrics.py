"""Attempts by the provider of the destination: the ten that are known by name, and all others."""

from functools import cache, lru_cache

from prometheus_client import Counter

from posthouse.answers import AnswerClass, provider_of
from posthouse.mail.address import domain_of
from posthouse.store.deliveries import Settlement

OTHER = "other"

ATTEMPTS = Counter(
    "posthouse_provider_attempts_total",
    "Attempts that ended, by the provider of the destination.",
    ["provider", "result"],
)
FAILURES = Counter(
    "posthouse_provider_failures_total",
    "Attempts that failed, by the provider of the destination and what its answer means.",
    ["provider", "class"],
)

# Looking a metric up costs more than moving it: each is kept.
_attempts = cache(ATTEMPTS.labels)
_failures = cache(FAILURES.labels)


@lru_cache(4096)
def provider_label(site: str, domain: str) -> str:
    """Whose servers *site* is ("google.com", "a.example+b.example", "host:25"), else *domain*."""
    known = map(provider_of, (*site.partition(":")[0].split("+"), domain))
    return next(filter(None, known), OTHER)


def count_attempt(result: Settlement) -> None:
    """Count an attempt that has just ended."""
    site = result.attempt.site if result.attempt is not None else ""
    provider = provider_label(site, domain_of(result.claimed.delivery.recipient))
    _attempts(provider, result.kind).inc()
    if "scope" in result.detail:  # it failed
        _failures(provider, result.detail.get("class", AnswerClass.UNCLEAR.value)).inc()
