"""Attempts are counted by providers that are known by name; no domain becomes a label."""

from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from dispatcher.provider_metrics import ATTEMPTS, FAILURES, count_attempt, provider_label
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.store.deliveries import Attempt, Settlement
from servers.claimed_delivery import claimed_delivery

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def settled(recipient: str, kind: EventKind, site: str = "", **detail: str) -> Settlement:
    claimed = claimed_delivery(recipient, Lane.BULK)
    attempt = Attempt(
        started_at=NOW,
        outcome=kind.value,
        scope=detail.get("scope"),
        site=site,
        host="",
        tls="",
        code=250,
        enhanced="2.0.0",
        reply="",
    )
    return Settlement(claimed, kind, None, attempt if site else None, dict(detail))


@pytest.mark.parametrize(
    ("site", "domain", "provider"),
    [
        ("google.com", "company.example", "google"),
        ("outlook.com", "company.example", "microsoft"),
        ("a.example+google.com", "company.example", "google"),
        ("smtp.relay.example:587", "gmail.com", "google"),
        ("smtp.gmail.com:587", "company.example", "google"),
        ("", "gmail.com", "google"),
        ("company.example", "company.example", "other"),
        ("notgoogle.com", "notgoogle.com", "other"),
        ("", "", "other"),
    ],
)
def test_the_servers_say_whose_mail_it_is_else_the_domain(
    site: str, domain: str, provider: str
) -> None:
    assert provider == provider_label(site, domain)


def test_any_number_of_domains_makes_eleven_providers_at_most() -> None:
    for number in range(5_000):
        domain = f"d{number}.example"
        count_attempt(settled(f"u@{domain}", EventKind.DELIVERED, site=domain))
        count_attempt(settled(f"u@{domain}", EventKind.BOUNCED, domain, scope="recipient"))
    for metric in (ATTEMPTS, FAILURES):
        shown = {sample.labels["provider"] for sample in next(iter(metric.collect())).samples}
        assert {"other"} <= shown
        assert 11 >= len(shown)


def test_a_failure_is_counted_by_what_the_answer_means() -> None:
    def failures(kind: str) -> float:
        labels = {"provider": "google", "class": kind}
        return REGISTRY.get_sample_value("posthouse_provider_failures_total", labels) or 0.0

    before = failures("mailbox full"), failures("unclear")
    full = {"scope": "recipient", "class": "mailbox full"}
    count_attempt(settled("u@gmail.com", EventKind.DEFERRED, "google.com", **full))
    count_attempt(settled("u@gmail.com", EventKind.DEFERRED, "google.com", scope="message"))
    count_attempt(settled("u@gmail.com", EventKind.DELIVERED, "google.com"))

    assert (before[0] + 1, before[1] + 1) == (failures("mailbox full"), failures("unclear"))
