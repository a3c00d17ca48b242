"""The verbs a server knows: the stages at which each is open, and its function.

The function of a verb reads its argument, may change the state of the session, and gives a reply
or an event for the caller.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from posthouse.mail.reply import Reply
from posthouse.smtp import commands, replies
from posthouse.smtp.mechanisms import CHALLENGE, MECHANISMS, ScramRequest
from posthouse.smtp.session_state import (
    AuthRequest,
    DataRequest,
    Event,
    ServerConfig,
    SessionStage,
    SessionState,
    TlsRequest,
)

Result: TypeAlias = Reply | Event

# Of the parameters of DSN of a message, which are read again for the result of each recipient:
# with them it may have some six hundred recipients, and a hundred of the longest.
_MOST_ASKED_OCTETS = 65_536


class Verb(NamedTuple):
    """One row of the table."""

    carry_out: Callable[[SessionState, ServerConfig, str], Result]
    first: SessionStage  # from this stage on it is open,
    last: SessionStage  # to this one
    takes_argument: bool = True
    in_clear: bool = False  # also where STARTTLS is required and has not been done


def refuse(verb: Verb, state: SessionState, config: ServerConfig, argument: str) -> Reply | None:
    """Why *verb* cannot be carried out now, None when it can."""
    if config.requires_starttls and not (state.tls or verb.in_clear):
        return replies.NEEDS_TLS
    if state.stage < verb.first:
        return _MISSING[state.stage]
    if state.stage > verb.last:  # only MAIL has another stage than CHUNKS in which it is not open
        return replies.IN_CHUNKS if state.stage is SessionStage.CHUNKS else replies.NESTED_MAIL
    return replies.NO_ARGUMENT if argument and not verb.takes_argument else None


# What to do first, when a verb needs a later stage.
_MISSING = {
    SessionStage.CONNECTED: replies.NEEDS_EHLO,
    SessionStage.GREETED: replies.NEEDS_AUTH,
    SessionStage.READY: replies.NEEDS_MAIL,
    SessionStage.SENDER: replies.NO_VALID_RECIPIENTS,
}


def _ehlo(state: SessionState, config: ServerConfig, argument: str) -> Result:
    if refused := _greet(state, config, argument, extended=True):
        return refused
    return replies.ehlo(
        config.hostname,
        max_octets=state.max_message_octets,
        limits=_limits(config),
        starttls=config.offers_starttls and not state.tls,
        # On a connection in clear only where the listener allows it.
        mechanisms=config.mechanisms
        if state.stage is SessionStage.GREETED and not _must_start_tls(state, config)
        else (),
    )


def _limits(config: ServerConfig) -> str:
    """What LIMITS says (RFC 9422): recipients of a message, messages of a connection."""
    limits = f"RCPTMAX={config.max_recipients}"
    return limits if config.max_messages is None else f"{limits} MAILMAX={config.max_messages}"


def _helo(state: SessionState, config: ServerConfig, argument: str) -> Result:
    """Without extensions a client can neither log in nor send where AUTH is required."""
    return _greet(state, config, argument, extended=False) or Reply(250, config.hostname)


def _greet(
    state: SessionState, config: ServerConfig, hostname: str, *, extended: bool
) -> Reply | None:
    # Clients give whatever their machine is called ("vm", "localhost"): all of it is accepted.
    if not hostname:
        return replies.NEEDS_NAME
    state.helo = hostname
    state.extended = extended
    state.envelope = state.data = None
    state.stage = SessionStage.READY
    if config.requires_auth and not state.authenticated:
        state.stage = SessionStage.GREETED
    return None


def _must_start_tls(state: SessionState, config: ServerConfig) -> bool:
    return config.requires_starttls and not state.tls


def _starttls(state: SessionState, config: ServerConfig, _: str) -> Result:
    if state.tls:
        return replies.ALREADY_TLS
    return TlsRequest() if config.offers_starttls else replies.NO_TLS_HERE


def _auth(state: SessionState, config: ServerConfig, argument: str) -> Result:
    """Mechanisms are named in any case."""
    mechanism, _, initial = argument.partition(" ")
    mechanism, initial = mechanism.upper(), initial.strip()
    if refused := _refuse_auth(state, config):
        return refused
    if not mechanism or " " in initial:
        return replies.AUTH_SYNTAX
    if mechanism not in config.mechanisms:
        return replies.auth_mechanism(config.mechanisms)
    state.mechanism, state.exchange = mechanism, MECHANISMS[mechanism](config.nonce)
    return continue_auth(state, initial) if initial else state.exchange.first_challenge


def _refuse_auth(state: SessionState, config: ServerConfig) -> Reply | None:
    if not config.requires_auth:
        return replies.NOT_IMPLEMENTED
    if state.authenticated:
        return replies.ALREADY_AUTHENTICATED
    return None if state.extended else replies.AUTH_NEEDS_EHLO


def continue_auth(state: SessionState, text: str | Reply) -> Result:
    """Take *text* as the next response of the client to its AUTH; a Reply says it is none."""
    mechanism, exchange = state.mechanism, state.exchange
    assert exchange is not None  # a mechanism is going on
    response = text if isinstance(text, Reply) else commands.read_response(text)
    result = response if isinstance(response, Reply) else exchange.take(response)
    if isinstance(result, ScramRequest) or (isinstance(result, Reply) and result.code == CHALLENGE):
        return result
    state.mechanism, state.exchange = "", None
    if isinstance(result, Reply):
        if state.authenticated and result is not replies.LOGGED_IN:
            # It broke off when all was said: it does not trust us (RFC 5802 section 5).
            state.authenticated, state.stage = False, SessionStage.GREETED
        return result
    return AuthRequest(mechanism, result)


def _mail(state: SessionState, config: ServerConfig, argument: str) -> Result:
    if config.max_messages is not None and state.messages >= config.max_messages:
        return replies.too_many_messages(config.max_messages)
    return commands.read_mail(argument)


def _rcpt(state: SessionState, config: ServerConfig, argument: str) -> Result:
    """Add a recipient; whether its domain exists is not known here."""
    assert state.envelope is not None  # by its stage
    rcpt = commands.read_rcpt(argument, smtputf8=state.envelope.smtputf8)
    if isinstance(rcpt, Reply):
        return rcpt
    recipient, asked = rcpt
    envelope = state.envelope
    if (
        len(envelope.recipients) >= config.max_recipients
        or envelope.asked_octets > _MOST_ASKED_OCTETS
    ):
        return replies.TOO_MANY_RECIPIENTS
    refuse_recipient = config.refuse_recipient
    if refuse_recipient is not None and (refusal := refuse_recipient(recipient)) is not None:
        return refusal
    envelope.add(str(recipient), asked)
    state.stage = SessionStage.RECIPIENTS
    return replies.RECIPIENT_OK


def _data(_: SessionState, __: ServerConfig, ___: str) -> Result:
    return DataRequest()


def _rset(state: SessionState, _: ServerConfig, __: str) -> Result:
    state.envelope = state.data = None
    state.stage = min(state.stage, SessionStage.READY)
    return replies.OK


def _always(reply: Reply) -> Callable[[SessionState, ServerConfig, str], Result]:
    return lambda _, __, ___: reply


_ANY = (SessionStage.CONNECTED, SessionStage.CHUNKS)

VERBS: Mapping[str, Verb] = {
    "EHLO": Verb(_ehlo, *_ANY, in_clear=True),
    "HELO": Verb(_helo, *_ANY, in_clear=True),
    "STARTTLS": Verb(_starttls, *_ANY, takes_argument=False, in_clear=True),
    "AUTH": Verb(_auth, SessionStage.GREETED, SessionStage.RECIPIENTS),
    "MAIL": Verb(_mail, SessionStage.READY, SessionStage.READY),
    "RCPT": Verb(_rcpt, SessionStage.SENDER, SessionStage.RECIPIENTS),
    "DATA": Verb(_data, SessionStage.RECIPIENTS, SessionStage.RECIPIENTS, takes_argument=False),
    "BDAT": Verb(_data, SessionStage.RECIPIENTS, SessionStage.RECIPIENTS),  # its first
    "RSET": Verb(_rset, *_ANY, takes_argument=False, in_clear=True),
    # The argument of NOOP is ignored (RFC 5321 section 4.1.1.9).
    "NOOP": Verb(_always(replies.OK), *_ANY, in_clear=True),
    "HELP": Verb(_always(replies.HELP), *_ANY, in_clear=True),
    # VRFY and EXPN reveal nothing (RFC 5321 section 7.3), and there are no lists here.
    "VRFY": Verb(_always(replies.CANNOT_VERIFY), SessionStage.READY, SessionStage.RECIPIENTS),
    "EXPN": Verb(_always(replies.NOT_IMPLEMENTED), *_ANY),
    # Who leaves is not held up: what stands behind the verb is ignored.
    "QUIT": Verb(_always(replies.GOODBYE), *_ANY, in_clear=True),
}
