"""Ingest alone, over a store that accepts everything at once."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from ingest.http.native_api import NativeApi
from ingest.http.sendgrid_api import SendGridApi
from ingest.listeners import Listener
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from posthouse.authentication.proofs import AuthKeys
from posthouse.mail.lane import Lane
from posthouse.mail.permission import Permission
from posthouse.mail.rate_limit import Charge, Granted, Together
from posthouse.mail.secret import hash_secret
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Acceptance, Committed
from posthouse.running import logs
from posthouse.running.certificate import Certificate
from posthouse.running.common_settings import LogFormat
from posthouse.running.identity import new_id
from posthouse.store.logins import Login
from posthouse.store.timeline import Timeline

_PEPPER = b"p" * 32
_ID = UUID(int=1)
_LOGIN = Login(
    account_id=_ID,
    credential_id=_ID,
    username="user",
    secret_hash=hash_secret("secret", _PEPPER),
    profile="native",
    lane=Lane.NORMAL,
    highest_lane=Lane.VERY_HIGH,
    domains=frozenset(("sender.example",)),
    permissions=frozenset(Permission),
)
_ACCEPTED = Committed(is_due=False)


class Open:
    """A directory with one user, and an intake that accepts everything at once."""

    async def login(self, _: str) -> Login:
        """See `posthouse.authentication.directory.Directory`."""
        return _LOGIN

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """See `ingest.domain_owners.DomainRegister`."""
        del account_id, domains
        return frozenset()

    def has_room(self) -> bool:
        """See `ingest.session_context.Intake`."""
        return True

    async def user_of_secret(self, _: bytes) -> str | None:
        """See `posthouse.authentication.directory.Directory`."""
        return None

    async def child(self, _: UUID, __: str) -> UUID | None:
        """See `posthouse.authentication.directory.Directory`."""
        return None

    async def scram(self, _: str) -> bytes | None:
        """See `posthouse.authentication.directory.Directory`."""
        return None

    async def charge(self, messages: Sequence[Charge], *, urgent: bool) -> Together:
        """See `ingest.rate_checks.RateCounts`."""
        del urgent
        return [Granted()] * len(messages)

    async def accept(self, _: Submission) -> Acceptance:
        """See `ingest.session_context.Intake`."""
        return _ACCEPTED

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """See `ingest.session_context.Intake`."""
        return [_ACCEPTED] * len(submissions)


class _Nothing:
    """Knows no message."""

    async def of_submission(self, submission_id: UUID) -> Timeline | None:
        """See `ingest.http.native_api.Timelines`."""
        del submission_id
        return None

    async def cancel(self, submission_id: UUID, actor: str) -> bool:
        """See `ingest.http.native_api.Cancelling`."""
        del submission_id, actor
        return False


_NOTHING = _Nothing()


def open_context(limits: Limits, tls: Certificate | None = None) -> SessionContext:
    """The context of sessions over such a store."""
    behind = Open()
    return SessionContext.new(
        hostname="relay.bench.example",
        intake=behind,
        directory=behind,
        keys=AuthKeys(_PEPPER, _PEPPER),
        tls=tls,
        new_id=new_id,
        clock=time.monotonic,
        limits=limits,
    )


def log_to_nowhere() -> None:
    """Write the log of this process as ingest does: that is part of what it costs."""
    logs.configure("ingest", form=LogFormat.JSON, stream=open(os.devnull, "w"))  # noqa: PTH123, SIM115 -- as long as we live


@asynccontextmanager
async def open_door(
    listeners: Sequence[str], limits: Limits, tls: Certificate | None = None
) -> AsyncIterator[IngestService]:
    """Ingest alone, over a store that accepts everything at once."""
    service = IngestService(
        [Listener.parse(text) for text in listeners],
        open_context(limits, tls),
        apis=lambda door: (
            *NativeApi(door, _NOTHING, _NOTHING).routes(),
            *SendGridApi(door).routes(),
        ),
    )
    service.bind()
    stopping = asyncio.Event()
    serving = asyncio.create_task(service.run(stopping))
    yield service
    stopping.set()
    await serving
