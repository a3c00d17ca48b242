"""The only place of policy that names concrete things."""

from datetime import timedelta
from functools import partial
from time import monotonic

import structlog

from policy.identities import Identities
from policy.relay import relay
from policy.service import Pace, PolicyService
from policy.settings import PolicySettings
from policy.signing import best
from posthouse.broker import Topic
from posthouse.mail.secret import Purpose, derive
from posthouse.running.program import Backing, Wired, broker_check
from posthouse.store.accounts import AccountStore
from posthouse.store.submissions import SubmissionStore

log = structlog.get_logger()


def wire(settings: PolicySettings, behind: Backing) -> Wired:
    """Policy, woken by hints from ingest; it announces deliveries to the dispatchers."""
    secret_key = settings.secret_key.get_secret_value()
    signer = best()
    log.info("signing", at_once=signer.at_once, reason=signer.reason)
    service = PolicyService(
        SubmissionStore(
            behind.database,
            behind.background,
            prepared=behind.prepared,
            accepted=behind.accepted,
            lease=timedelta(seconds=settings.lease_seconds),
        ),
        Identities(AccountStore(behind.database), derive(secret_key, Purpose.DKIM_KEYS), monotonic),
        relay(settings, settings.hostname, secret_key),
        signer,
        announce=partial(behind.broker.announce, Topic.DELIVERIES),
        pace=Pace(batch=settings.policy_batch),
    )
    behind.accepted.subscribe(service.due.take, room=service.due.room)
    behind.broker.listen(Topic.SUBMISSIONS, service.due.wake)
    return Wired(services={"policy": service}, checks={"broker": broker_check(behind.broker)})
