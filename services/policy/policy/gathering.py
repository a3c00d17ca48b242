"""Gathers the facts for a batch: profiles, suppressions, sending domains with their keys."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from policy.core.facts import DomainKeys, Facts, KnownDomain, Relay, SigningUnavailable
from policy.core.framed_copies import wants_frame
from policy.core.request import Request
from posthouse.mail.dkim_key import BrokenKey, SigningKey
from posthouse.mail.secret import UnsealError, unseal
from posthouse.mail.submission import Submission
from posthouse.mail.suppression_list import Suppression
from posthouse.profiles import InvalidOverride, Profile, UnknownProfile, resolve
from posthouse.store.accounts import Owned, ProfileKey, SendingDomain
from posthouse.store.logins import AccountProfile
from posthouse.store.streams import OfStream
from posthouse.store.suppressions import Addressed
from posthouse.tracking.list_frame import ListFrame

_MOST_KEPT = 10_000  # domains, and profiles


class AccountDirectory(Protocol):
    """Questions about accounts, for many at once; both raise StoreUnavailable."""

    async def find_sending_domains(
        self, wanted: Collection[Owned]
    ) -> Mapping[Owned, SendingDomain]:
        """Those of *wanted* that are verified domains of their account, with active keys."""

    async def profiles(self, wanted: Collection[ProfileKey]) -> Mapping[ProfileKey, AccountProfile]:
        """Those of *wanted* that are profiles of the credential's account."""


class SuppressionLists(Protocol):
    """Questions about recipients."""

    async def find(
        self, wanted: Collection[Addressed]
    ) -> Mapping[Addressed, tuple[Suppression, ...]]:
        """The entries that count for each of *wanted* that has any. Raises StoreUnavailable."""


class Confirmations(Protocol):
    """Questions about recipients of mail from the sandbox domain."""

    async def confirmed(self, wanted: Collection[Addressed]) -> Collection[Addressed]:
        """Those of *wanted* that are confirmed addresses. Raises StoreUnavailable."""


class Streams(Protocol):
    """Questions about streams."""

    async def list_frames(self, wanted: Collection[OfStream]) -> Mapping[OfStream, ListFrame]:
        """What those of *wanted* that are streams put around them. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    domain: SendingDomain | None  # as it was stored
    known: KnownDomain | None  # None: no verified domain of that account


class Gatherer:
    """Asks at most one question of each kind for a batch, and those at the same time.

    Sending domains are kept for some seconds; suppressions are asked for each time.
    """

    def __init__(
        self,
        accounts: AccountDirectory,
        suppressions: SuppressionLists,
        relay: Relay,
        sealing_key: bytes,
        clock: Callable[[], float],
        *,
        confirmations: Confirmations,
        streams: Streams,
        seconds: float = 10.0,
    ) -> None:
        """A change of a domain or its keys is seen within *seconds* of the *clock*."""
        self._accounts = accounts
        self._suppressions = suppressions
        self._confirmations = confirmations
        self._streams = streams
        self._relay = relay
        self._sealing_key = sealing_key
        self._clock = clock
        self._seconds = seconds
        self._domains: dict[Owned, _Kept] = {}
        self._profiles: dict[ProfileKey, Profile] = {}

    async def profiles(self, submissions: Sequence[Submission]) -> list[Profile | None]:
        """The profile of each; None where this program does not know it, as a newer one may.

        Raises StoreUnavailable.
        """
        keys = [(s.credential_id, s.profile, s.profile_revision) for s in submissions]
        if new := {key for key in keys if key not in self._profiles}:
            await self._learn_profiles(new)
        return [self._profiles.get(key) for key in keys]

    async def _learn_profiles(self, keys: Collection[ProfileKey]) -> None:
        """Revisions never change: what is known once is known for good."""
        if len(self._profiles) >= _MOST_KEPT:
            self._profiles.clear()
        presets = {key: _resolved(key[1], key[2], {}) for key in keys}
        own = [key for key, preset in presets.items() if preset is None]
        stored = await self._accounts.profiles(own) if own else {}
        customized = {
            key: _resolved(p.preset, p.preset_revision, p.knobs) for key, p in stored.items()
        }
        for key, profile in (presets | customized).items():
            if profile is not None:
                self._profiles[key] = profile

    async def facts(self, requests: Sequence[Request]) -> list[Facts]:
        """The facts about each. Raises StoreUnavailable."""
        now = self._clock()
        owned = {(r.submission.account_id, name) for r in requests for name in r.from_domains}
        addressed = {(r.submission.account_id, to.address) for r in requests for to in r.recipients}
        stale = [
            one for one in owned if one not in self._domains or self._domains[one].until <= now
        ]
        suppressed = await self._ask(stale, addressed)
        confirmed = await self._confirmed(requests)
        frames = await self._framed(requests)
        return [self._facts(request, suppressed, confirmed, frames) for request in requests]

    async def _confirmed(self, requests: Sequence[Request]) -> Collection[Addressed]:
        """Who may get what is from the sandbox domain; usually nothing is."""
        wanted = {
            (r.submission.account_id, to.address)
            for r in requests
            if _asks_who_confirmed(r)
            for to in r.recipients
        }
        return await self._confirmations.confirmed(wanted) if wanted else ()

    async def _framed(self, requests: Sequence[Request]) -> Mapping[OfStream, ListFrame]:
        """What lists put around their messages; most put nothing."""
        wanted = {_stream_of(r) for r in requests if wants_frame(r)}
        return await self._streams.list_frames(wanted) if wanted else {}

    async def _ask(
        self, stale: Collection[Owned], addressed: Collection[Addressed]
    ) -> Mapping[Addressed, tuple[Suppression, ...]]:
        if not stale:
            return await self._suppressions.find(addressed)
        try:
            async with asyncio.TaskGroup() as questions:
                questions.create_task(self._learn_domains(stale))
                found = questions.create_task(self._suppressions.find(addressed))
        except ExceptionGroup as group:  # the store is away for one as for the other
            raise group.exceptions[0] from group
        return found.result()

    async def _learn_domains(self, wanted: Collection[Owned]) -> None:
        found = await self._accounts.find_sending_domains(wanted)
        until = self._clock() + self._seconds
        for owned in wanted:
            before, domain = self._domains.pop(owned, None), found.get(owned)
            # Unsealing, loading and trying a key takes a millisecond: not again for the same row.
            known = before.known if before and before.domain == domain else self._loaded(domain)
            self._domains[owned] = _Kept(until, domain, known)
        while len(self._domains) > max(_MOST_KEPT, len(wanted)):
            del self._domains[next(iter(self._domains))]  # the one that was asked for first

    def _loaded(self, domain: SendingDomain | None) -> KnownDomain | None:
        if domain is None:
            return None
        try:
            keys = tuple(
                SigningKey.load(
                    domain.name, key.selector, key.algorithm, unseal(key.sealed, self._sealing_key)
                )
                for key in domain.keys
            )
        except UnsealError as error:
            return SigningUnavailable(f"a DKIM key of {domain.name} cannot be opened: {error}")
        except BrokenKey as error:
            return SigningUnavailable(str(error))
        return DomainKeys(domain.name, domain.return_path_host, keys, domain.tracking)

    def _facts(
        self,
        request: Request,
        suppressed: Mapping[Addressed, tuple[Suppression, ...]],
        confirmed: Collection[Addressed],
        frames: Mapping[OfStream, ListFrame],
    ) -> Facts:
        account = request.submission.account_id
        domains = {
            name: known
            for name in request.from_domains
            if (known := self._domains[account, name].known) is not None
        }
        entries = {
            to.address: suppressed[account, to.address]
            for to in (request.recipients if suppressed else ())
            if (account, to.address) in suppressed
        }
        frame = frames.get(_stream_of(request)) if frames else None
        if not _asks_who_confirmed(request):
            return Facts(self._relay, domains, entries, frame=frame)
        to = [address for owner, address in confirmed if owner == account]
        return Facts(self._relay, domains, entries, to, frame)


def _stream_of(request: Request) -> OfStream:
    return request.submission.credential_id, request.submission.attributes.stream


def _asks_who_confirmed(request: Request) -> bool:
    return request.submission.attributes.sandboxed and request.profile.sandbox.deliver_to_confirmed


def _resolved(name: str, revision: int, knobs: Mapping[str, object]) -> Profile | None:
    try:
        return resolve(name, revision, knobs)
    except (UnknownProfile, InvalidOverride):
        return None  # of a newer version: it has another preset, or another knob
