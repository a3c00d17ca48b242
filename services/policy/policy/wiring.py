"""The only place of policy that names concrete things."""

from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import structlog

from policy.core.facts import DomainKeys, Relay, TrackingHost
from policy.gathering import Gatherer
from policy.key_rotation import KeyRotation
from policy.preparing import Preparer
from policy.service import ClaimPace, PolicyService
from policy.settings import PolicySettings
from policy.signing import best
from policy.verifying import SampleVerifier
from posthouse.broker import Topic
from posthouse.dns.resolver import DnsClient
from posthouse.mail.dkim_key import SigningKey, from_pem
from posthouse.mail.lane import Lane
from posthouse.mail.secret import Purpose, derive
from posthouse.running.program import Resources, Services, broker_check
from posthouse.store.accounts import AccountStore
from posthouse.store.confirmations import ConfirmationStore
from posthouse.store.key_rotations import KeyRotations
from posthouse.store.schedule import Schedule, ScheduleWatch
from posthouse.store.streams import StreamStore
from posthouse.store.submissions import SubmissionStore
from posthouse.store.suppressions import SuppressionStore
from posthouse.tracking.token import token_keys

log = structlog.get_logger()


def build(settings: PolicySettings, resources: Resources) -> Services:
    """Policy, woken by hints from ingest; it announces deliveries to the dispatchers.

    Raises BrokenKey.
    """
    service = PolicyService(
        _submissions(settings, resources),
        _gatherer(settings, resources),
        _preparer(settings),
        announce=partial(resources.broker.announce, Topic.DELIVERIES),
        pace=ClaimPace(batch=settings.policy_batch),
        traces=resources.traces,
    )

    def came_due(lane: Lane) -> None:
        resources.accepted.shut()  # what is handed over would go first
        resources.broker.announce(Topic.SUBMISSIONS, lane)

    resources.accepted.subscribe(service.work.put, room=service.work.capacity)
    resources.broker.listen(Topic.SUBMISSIONS, service.work.wake)
    return Services(
        by_name={
            "policy": service,
            "schedule": ScheduleWatch(Schedule(resources.background), came_due),
            "key-rotation": _key_rotation(settings, resources),
        },
        checks={"broker": broker_check(resources.broker)},
    )


def _submissions(settings: PolicySettings, resources: Resources) -> SubmissionStore:
    return SubmissionStore(
        resources.database,
        resources.background,
        prepared=resources.prepared,
        accepted=resources.accepted,
        lease=timedelta(seconds=settings.lease_seconds),
    )


def _gatherer(settings: PolicySettings, resources: Resources) -> Gatherer:
    secret_key = settings.secret_key.get_secret_value()
    return Gatherer(
        AccountStore(resources.database),
        SuppressionStore(resources.database),
        relay(settings, secret_key),
        derive(secret_key, Purpose.DKIM_KEYS),
        monotonic,
        confirmations=ConfirmationStore(resources.database),
        streams=StreamStore(resources.database),
    )


def _key_rotation(settings: PolicySettings, resources: Resources) -> KeyRotation:
    return KeyRotation(
        KeyRotations(resources.database),
        DnsClient(settings.nameservers),
        derive(settings.secret_key.get_secret_value(), Purpose.DKIM_KEYS),
        lambda: datetime.now(UTC).date(),
    )


def _preparer(settings: PolicySettings) -> Preparer:
    signer = best()
    log.info("signing", at_once=signer.at_once, reason=signer.reason)
    return Preparer(signer, SampleVerifier(settings.dkim_verify_one_in))


def relay(settings: PolicySettings, secret_key: bytes) -> Relay:
    """What all messages of this installation have in common. Raises BrokenKey."""
    domain = settings.relay_dkim_domain or settings.hostname
    keys: tuple[SigningKey, ...] = ()
    if settings.relay_dkim_key is not None:
        algorithm, pkcs8 = from_pem(settings.relay_dkim_key.get_secret_value().encode())
        keys = (SigningKey.load(domain, settings.relay_dkim_selector, algorithm, pkcs8),)
    return Relay(
        hostname=settings.hostname,
        own=DomainKeys(domain, settings.return_path_host or settings.hostname, keys),
        return_path_key=derive(secret_key, Purpose.RETURN_PATHS),
        signed_id_key=derive(secret_key, Purpose.SIGNED_IDS),
        tracking=TrackingHost(
            settings.tracking_url, token_keys(secret_key, settings.token_keys[:1])[0]
        ),
    )
