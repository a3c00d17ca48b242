"""The only place of policy that names concrete things."""

from datetime import timedelta
from time import monotonic

import structlog

from policy.identities import Identities
from policy.relay import relay
from policy.service import Pace, PolicyService
from policy.settings import PolicySettings
from policy.signing import best
from posthouse.broker import deliveries_queue, submissions_queue
from posthouse.broker.hints import Announcer, Listener
from posthouse.mail.secret import Purpose, derive
from posthouse.running.program import Backing, Wired, broker_check
from posthouse.store.accounts import AccountStore
from posthouse.store.submissions import SubmissionStore

log = structlog.get_logger()


def wire(settings: PolicySettings, behind: Backing) -> Wired:
    """Policy, what wakes it, and what carries its news to the dispatchers."""
    secret_key = settings.secret_key.get_secret_value()
    signer = best()
    log.info("signing", at_once=signer.at_once, reason=signer.reason)
    announcer = Announcer(behind.broker, deliveries_queue)
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
        announce=announcer.announce,
        pace=Pace(batch=settings.policy_batch),
    )
    behind.accepted.subscribe(service.due.take, room=service.due.room)
    return Wired(
        services={
            "policy": service,
            "policy-hints": Listener(behind.broker, submissions_queue, service.due.wake),
            "policy-news": announcer,
        },
        checks={"broker": broker_check(behind.broker)},
    )
