"""What a login of a credential brings with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.mail.message_flag import Flags, Stream
from posthouse.mail.permission import Permission
from posthouse.mail.terms import Resubmission


@dataclass(frozen=True, slots=True)
class AccountProfile:
    """A profile of an account: a preset with some of its knobs changed."""

    account_id: UUID
    name: str
    revision: int  # counts up from 1; each is kept
    preset: str
    preset_revision: int
    knobs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Login:
    """Everything ingest needs to know about a credential."""

    account_id: UUID
    credential_id: UUID
    username: str
    secret_hash: bytes
    profile: str
    lane: Lane  # default of its messages
    highest_lane: Lane  # what its messages may claim at most
    domains: frozenset[str]  # verified ones of its account
    own_profile: AccountProfile | None = None  # what *profile* names; None: a preset
    # Verified ones of each child of its account: it sends for them too.
    domains_of_children: Mapping[UUID, frozenset[str]] = field(default_factory=dict)
    # Of its account, each by its code in lower case and by its name.
    streams: Mapping[str, Stream] = field(default_factory=dict)
    sender_flags: Mapping[str, Flags] = field(default_factory=dict)  # by normal form of From
    scram: bytes | None = None  # `ScramKeys` of the secret
    sealed: bytes | None = None  # the secret, sealed
    previous_hash: bytes | None = None  # of the secret before, as long as it counts
    # Values of `Permission`; a newer version may know more.
    permissions: frozenset[str] = frozenset({Permission.SMTP})
    is_limited: bool = False  # it, its account or a child of that has rate limits
    resubmission: Resubmission = Resubmission.OFF

    @property
    def child_domains(self) -> Mapping[str, UUID]:
        """Domains that its account has not, each with the child that has it, or the oldest one."""
        youngest_first = sorted(self.domains_of_children, reverse=True)  # ids begin with the time
        return {
            name: child
            for child in youngest_first
            for name in self.domains_of_children[child] - self.domains
        }

    def only_for(self, child: UUID) -> "Login":
        """This login, where it sends for a child of its account and for nobody else (RULES T07)."""
        domains = self.domains_of_children.get(child, frozenset())
        return replace(self, account_id=child, domains=domains, domains_of_children={})


# Of a login, those fields that are the columns of its row.
_AS_STORED = (
    *("account_id", "credential_id", "username", "profile"),
    *("secret_hash", "scram", "sealed", "previous_hash", "is_limited"),
)


def login_of(row: Any) -> Login:
    """The login in a row of `find_login`."""
    return Login(
        **{name: row[name] for name in _AS_STORED},
        lane=Lane(row["lane"]),
        highest_lane=Lane(row["highest_lane"]),
        resubmission=Resubmission(row["resubmission"]),
        domains=frozenset(row["domains"]),
        domains_of_children={
            UUID(child): frozenset(names)
            for child, names in (row["domains_of_children"] or {}).items()
        },
        own_profile=None if row["revision"] is None else own_profile_of(row, row["profile"]),
        streams={key: s for s in _streams(row) for key in (s.name, s.code)},
        sender_flags=row["sender_flags"] or {},
        permissions=frozenset(row["permissions"]),
    )


def _streams(row: Any) -> list[Stream]:
    return [Stream(name, code, flags) for name, code, flags in row["streams"] or ()]


def own_profile_of(row: Any, name: str) -> AccountProfile:
    """The profile *name* in a row that has its other columns."""
    rest = [row[column] for column in ("revision", "preset", "preset_revision", "knobs")]
    return AccountProfile(row["account_id"], name, *rest)
