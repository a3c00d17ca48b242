"""What a login means for its messages: its account, its profile as far as the operator lets it."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import UUID

from ingest.core.admission import SessionFacts
from ingest.core.domains_of_others import leaves_senders_open
from ingest.core.operator_rules import NO_RULES, OperatorRules
from ingest.core.rules import cleans_lines, line_limit, rules_for
from ingest.core.verified_senders import only_verified
from posthouse.authentication.login_limits import put
from posthouse.authentication.login_profile import profile_of
from posthouse.profiles import Profile
from posthouse.profiles.choices import RecipientPolicy
from posthouse.store.logins import Login

_MOST_COPIED_OCTETS = 65_536  # of a header
_REMEMBERED = 1_000


class KnownFacts:
    """The session facts of logins; those of the last ones are not made again.

    To make them costs more than to prove a login, and most clients connect for every message.
    """

    def __init__(
        self, limit: int, max_header_octets: int, operator: OperatorRules = NO_RULES
    ) -> None:
        """*limit*: the octets that a message may have at most, whatever its profile says."""
        self._limit = limit
        self._max_header_octets = max_header_octets
        self._operator = operator
        self._known: dict[tuple[str, UUID, bool], tuple[Login, SessionFacts]] = {}

    def of(self, login: Login, *, has_options: bool = False) -> SessionFacts:
        """The session facts of *login*; raises UnknownProfile and InvalidOverride.

        *has_options*: its messages may have options.
        """
        key = (login.username, login.account_id, has_options)
        known = self._known.get(key)
        if known is not None and known[0] is login:
            return known[1]
        facts = self._made(login, has_options=has_options)
        put(self._known, key, (login, facts), _REMEMBERED)
        return facts

    def under(self, facts: SessionFacts, profile: Profile, revision: int) -> SessionFacts:
        """*facts* of a login as they would be with *profile*, for messages without options."""
        return replace(facts, **self._by_profile(profile, revision, facts.sandbox_domain))

    def _made(self, login: Login, *, has_options: bool) -> SessionFacts:
        profile, revision = profile_of(login)
        child_domains = login.child_domains
        domains = login.domains | child_domains.keys()
        sandbox = _sandbox_of(domains, self._operator)
        return SessionFacts(
            account_id=login.account_id,
            credential_id=login.credential_id,
            username=login.username,
            domains=domains,
            child_domains=child_domains,
            lane=login.lane,
            highest_lane=login.highest_lane,
            profile_name=login.profile,
            streams=login.streams,
            sender_flags=login.sender_flags,
            sandbox_domain=sandbox,
            relay_names=self._operator.relay_names,
            is_limited=login.is_limited,
            resubmission=login.resubmission,
            most_ahead=self._operator.most_ahead,
            **self._by_profile(profile, revision, sandbox, has_options=has_options),
        )

    def _by_profile(
        self, profile: Profile, revision: int, sandbox: str, *, has_options: bool = False
    ) -> dict[str, Any]:
        """The facts that follow from *profile*, as far as the operator lets it."""
        if not self._operator.unverified_senders:
            profile = only_verified(profile)
        return {
            "profile": profile,
            "profile_revision": revision,
            "max_message_octets": min(profile.size.max_message_octets or self._limit, self._limit),
            "max_header_octets": _largest_header(profile, self._max_header_octets),
            "rules": rules_for(profile, has_sandbox=bool(sandbox), has_options=has_options),
            "line_limit": line_limit(profile),
            "cleans_lines": cleans_lines(profile),
            "senders_are_open": leaves_senders_open(profile),
        }


def _sandbox_of(domains: Collection[str], operator: OperatorRules) -> str:
    """The sandbox domain; to an account that has verified it, it is like any other."""
    return "" if operator.sandbox_domain in domains else operator.sandbox_domain


def _largest_header(profile: Profile, most: int) -> int:
    """Where each recipient may get a header of its own, a thousand of them have to be kept."""
    has_copies = profile.recipients.policy is RecipientPolicy.ATTRIBUTE_ARRAYS
    return min(most, _MOST_COPIED_OCTETS) if has_copies else most
