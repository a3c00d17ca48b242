"""Rehearsals with the facts of the installation: its logins, lists, domains and keys."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import TypeVar
from uuid import UUID

import click

from command.rehearsal import (
    Letter,
    RehearsedAdmission,
    RehearsedPreparation,
    domains_of,
    read_letter,
    rehearse_admission,
    rehearse_preparation,
)
from ingest.core.admission import SessionFacts
from ingest.core.refusals import Refusal
from ingest.session_context import Limits
from ingest.session_facts import KnownFacts
from ingest.wiring import operator_rules
from onebox.all_settings import UpSettings
from policy.core.request import read
from policy.gathering import Gatherer
from policy.wiring import relay
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.lane import Lane
from posthouse.mail.mailbox import address_list
from posthouse.mail.message import Header, split
from posthouse.mail.reply import Reply
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Submission
from posthouse.profiles import Profile, resolve
from posthouse.profiles.choices import RecipientPolicy
from posthouse.smtp.commands import read_mail, read_rcpt
from posthouse.smtp.session_state import IncomingEnvelope
from posthouse.store.account_settings import AccountSettingsStore
from posthouse.store.accounts import AccountStore
from posthouse.store.confirmations import ConfirmationStore
from posthouse.store.logins import Login
from posthouse.store.past_submissions import PastSubmission, PastSubmissions
from posthouse.store.postgres import Postgres
from posthouse.store.streams import StreamStore
from posthouse.store.suppressions import SuppressionStore

T = TypeVar("T")

_NULL = "<>"  # the null reverse-path, as a file names it


class Rehearser:
    """Runs messages through the real decisions; it reads the database and writes nothing."""

    def __init__(self, database: Postgres, secret_key: bytes, settings: UpSettings) -> None:
        self._accounts = AccountStore(database)
        self._account_settings = AccountSettingsStore(database)
        self._past = PastSubmissions(database)
        operator, ingest = operator_rules(settings.ingest), settings.ingest
        self._known = KnownFacts(
            ingest.ingest_message_octets, ingest.ingest_header_octets, operator
        )
        self.resubmission_window = operator.resubmission_window
        self._gatherer = Gatherer(
            self._accounts,
            SuppressionStore(database),
            relay(settings.policy, secret_key),
            derive(secret_key, Purpose.DKIM_KEYS),
            monotonic,
            confirmations=ConfirmationStore(database),
            streams=StreamStore(database),
        )

    async def session(self, username: str) -> SessionFacts:
        """What a login as *username* means; ClickException if there is no such user."""
        login = await self._accounts.login(username)
        if login is None:
            raise click.ClickException(f"there is no active user called {username!r}")
        return self._known.of(login)

    async def session_of(self, past: PastSubmission) -> SessionFacts:
        """The same for the user of *past*, with the profile that it was accepted under."""
        if past.username is None:
            raise click.ClickException(f"the user who submitted {past.id.hex} is gone")
        facts = await self.session(past.username)
        key = (past.credential_id, past.profile, past.profile_revision)
        stored = (await self._accounts.profiles([key])).get(key)
        if stored is None:
            profile = resolve(past.profile, past.profile_revision)
        else:
            profile = resolve(stored.preset, stored.preset_revision, stored.knobs)
        found = self._known.under(facts, profile, past.profile_revision)
        return replace(found, profile_name=past.profile)

    def under(self, facts: SessionFacts, profile: Profile) -> SessionFacts:
        """*facts* of a session as if its login had *profile*, which has no revision yet."""
        return replace(self._known.under(facts, profile, 0), profile_name=profile.name)

    async def admit(
        self, letter: Letter, facts: SessionFacts, id_: UUID, now: datetime
    ) -> RehearsedAdmission:
        """What ingest would do with *letter* at *now*, under the id *id_*."""
        found = read_letter(letter, facts, now)
        if isinstance(found, Refusal):
            return RehearsedAdmission((), found)
        others: frozenset[str] = frozenset()
        if domains := domains_of(found):
            others = await self._accounts.owned_elsewhere(facts.account_id, domains)
        window = self.resubmission_window if letter.is_whole else None
        return rehearse_admission(found, id_, others, window)

    async def wants_reports(self, account_id: UUID) -> bool:
        """Whether the account has reports to its senders on."""
        return (await self._account_settings.read(account_id)).dsn

    async def accepted_before(self, submission: Submission) -> tuple[UUID, datetime] | None:
        """What was accepted under the key of *submission*, and until when the key counts."""
        key = submission.terms.key
        return await self._past.under_key(submission.account_id, key.text) if key else None

    async def prepare(
        self, submission: Submission, profile: Profile, now: datetime
    ) -> RehearsedPreparation:
        """What policy would do with *submission* at *now*."""
        request = read(submission, profile)
        (facts,) = await self._gatherer.facts([request])
        return rehearse_preparation(request, facts, now)


def letter_of_past(past: PastSubmission, profile: Profile) -> Letter:
    """The message with the envelope that its client gave, without what arrays of it added.

    Of the message there is the header only. ClickException if that is not kept any more.
    """
    if past.header is None:
        raise click.ClickException(
            f"the header of {past.id.hex} is past its retention: give the message as a file"
        )
    added = profile.recipients.policy is RecipientPolicy.ATTRIBUTE_ARRAYS
    kinds = past.attributes.kinds
    given = [a for a in past.recipients if not added or a not in kinds]
    discarded = [each.address for each in past.attributes.discarded]
    to = tuple(dict.fromkeys((*given, *discarded)))
    dsn, smtputf8 = past.attributes.dsn, past.smtputf8
    return Letter(past.header, past.sender, to, past.size, dsn, smtputf8=smtputf8)


def assumed_session(profile: Profile, letter: Letter) -> SessionFacts:
    """A login with *profile* of an account that owns every domain that *letter* is from."""
    header = Header.parse(split(letter.content)[0])
    senders = (*filter(None, (letter.sender,)), *_all_of(header, "From", "Sender"))
    login = Login(
        account_id=UUID(int=1),
        credential_id=UUID(int=2),
        username="rehearsal",
        secret_hash=b"",
        profile=profile.name,
        lane=Lane.NORMAL,
        highest_lane=Lane.VERY_HIGH,
        domains=frozenset(Address.parse(sender).ascii_domain for sender in senders),
    )
    limits = Limits()
    return KnownFacts(limits.message_octets, limits.header_octets).of(login)


def letter_of(content: bytes, sender: str | None, recipients: Sequence[str]) -> Letter:
    """The message of a file, whose line ends may be LF; what is not given is read in its header.

    Parameters of DSN may stand behind *sender* and *recipients*, as in MAIL and RCPT. Raises
    InvalidAddress, where our server refuses them with its reply.
    """
    lines = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    header = Header.parse(split(lines)[0])
    given_sender = sender or _sender_in(header)
    utf8 = "" if given_sender.isascii() else " SMTPUTF8"
    mail = _taken(read_mail(f"FROM:{given_sender}{utf8}"))
    envelope = IncomingEnvelope(str(mail.sender or ""), smtputf8=True, dsn=mail.dsn)
    for given in recipients or [f"<{one}>" for one in _all_of(header, "To", "Cc", "Bcc")]:
        recipient, asked = _taken(read_rcpt(f"TO:{given}", smtputf8=True))
        envelope.add(str(recipient), asked)
    to = tuple(envelope.recipients)
    smtputf8 = mail.smtputf8 or not all(map(str.isascii, to))
    return Letter(lines, envelope.sender, to, len(lines), envelope.request, smtputf8=smtputf8)


def _taken(read: T | Reply) -> T:
    if isinstance(read, Reply):
        raise InvalidAddress(f"our server would answer {read}")
    return read


def _sender_in(header: Header) -> str:
    if header.first("Return-Path") == _NULL:
        return _NULL
    return f"<{_first_of(header, 'Return-Path', 'Sender', 'From')}>"


def _first_of(header: Header, *names: str) -> str:
    for name in names:
        found = list(_all_of(header, name))
        if found:
            return found[0]
    raise InvalidAddress("the message names no sender: give one with --sender")


def _all_of(header: Header, *names: str) -> list[str]:
    return [
        str(mailbox.address)
        for name in names
        for value in header.values(name)
        for mailbox in address_list(value)
    ]
