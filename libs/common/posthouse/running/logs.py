"""Log events as JSON lines (or readable ones on a terminal), the libraries' own included."""

import logging
import re
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from posthouse.mail.reply import escaped
from posthouse.running.common_settings import LogAddresses, LogFormat, LogLevel
from posthouse.running.log_writer import LogWriter
from posthouse.running.traces import TraceSample

_NUMBERS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}

# Libraries that log a lot: below this level it is of no use to an operator. aiosmtpd
# (mail.*) must never get lower: at "info" it logs each line a client sent, secrets included.
_LOWEST_OF_OTHERS = {
    "mail.log": logging.WARNING,
    "mail.debug": logging.WARNING,
    "aio_pika": logging.WARNING,
    "aiormq": logging.CRITICAL,
    "asyncio": logging.WARNING,
    "uvicorn.error": logging.WARNING,
}

_encode = msgspec.json.Encoder(enc_hook=str).encode


def configure(
    service: str,
    *,
    level: LogLevel = LogLevel.INFO,
    form: LogFormat = LogFormat.AUTO,
    addresses: LogAddresses = LogAddresses.FULL,
    stream: TextIO | None = None,
    traced: TraceSample | None = None,
) -> LogWriter:
    """Send every log line of this process to *stream* (standard output), marked with *service*.

    Lines about a message that is *traced* have the id of its trace.

    Call it once, before anything logs. Writing happens in the background: `flush()` the returned
    writer before an `os._exit`; an ordinary exit does so by itself.
    """
    stream = stream or sys.stdout
    writer = LogWriter(stream)
    readable = form is LogFormat.CONSOLE or (form is LogFormat.AUTO and stream.isatty())
    structlog.configure(
        processors=[
            _Stamp(service),
            *((_TraceId(traced),) if traced else ()),
            *(() if addresses is LogAddresses.FULL else (_Redact(addresses),)),
            *(
                _readable_lines(colors=stream.isatty())
                if readable
                else (_with_traceback, _json_line)
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    _capture_standard_logging(_NUMBERS[level])
    return writer


class _Stamp:
    """Adds time, level and service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._second = (0, "")

    def __call__(self, _: WrappedLogger, method: str, event: EventDict) -> EventDict:
        level = "error" if method == "exception" else method
        return {"timestamp": self._now(), "level": level, "service": self._service, **event}

    def _now(self) -> str:
        """The time, ISO 8601, to the microsecond; a text a second, as making one is half a line."""
        since_1970, rest = divmod(time.time_ns(), 1_000_000_000)
        second, text = self._second
        if second != since_1970:
            text = datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (since_1970, text)  # at once: threads share it
        return f"{text}.{rest // 1000:06d}+00:00"


class _TraceId:
    """Adds the id of the message's trace, which is its own, where there is one."""

    def __init__(self, sample: TraceSample) -> None:
        self._sample = sample

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        submission = event.get("submission")
        if isinstance(submission, str) and self._sample.takes_hex(submission):
            event["trace_id"] = submission
        return event


class _Redact:
    """Masks addresses as the setting says, also inside replies of servers."""

    _ADDRESS = re.compile(r"[^\s<>\"@=]+@([^\s<>\"@,;]+)")

    def __init__(self, addresses: LogAddresses) -> None:
        self._with_domain = addresses is LogAddresses.DOMAIN

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        shown = r"***@\1" if self._with_domain else "***"
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = self._ADDRESS.sub(shown, value)
        if not self._with_domain and "username" in event:
            event["username"] = "***"
        return event


def _with_traceback(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Turn exc_info into text: frames without local variables, which may hold secrets."""
    given = event.pop("exc_info", None)
    if given:
        error = given if isinstance(given, BaseException) else _current(given)
        if error is not None:
            event["exception"] = "".join(traceback.format_exception(error))
    return event


def _current(given: object) -> BaseException | None:
    return given[1] if isinstance(given, tuple) else sys.exception()


def _json_line(_: WrappedLogger, __: str, event: Mapping[str, Any]) -> bytes:
    try:
        return _encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Lone surrogates, cycles, types without JSON: a poor line is better than none.
        return _encode({key: _plain(value) for key, value in event.items()})


def _plain(value: object) -> str:
    return str(value).encode("ascii", "backslashreplace").decode()


def _readable_lines(*, colors: bool) -> tuple[Processor, ...]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )
    return (_on_one_line, renderer, _encoded)


def _on_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape what is not printable: a reply of several lines must not look like other log lines."""
    return {
        name: escaped(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _encoded(_: WrappedLogger, __: str, line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")


class _Captured(logging.Handler):
    """Passes what libraries log through the same pipe as our own events."""

    def __init__(self) -> None:
        super().__init__()
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "mail.log" and "login_data is deprecated" in str(record.msg):
            return  # aiosmtpd complains of its own attribute at every login
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)  # arguments that do not fit the text
        self._log.log(record.levelno, text, logger=record.name, exc_info=record.exc_info)


def _capture_standard_logging(level: int) -> None:
    logging.basicConfig(handlers=[_Captured()], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name, lowest in _LOWEST_OF_OTHERS.items():
        logging.getLogger(name).setLevel(max(level, lowest))
