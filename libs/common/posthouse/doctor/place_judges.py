"""Whether the machine that a program runs on, and its files, are fit for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from posthouse.doctor.check_result import CheckName, CheckResult, advice, right, unknown, wrong

_LEAST_FREE = 512 << 20  # octets: below it `posthouse up` takes no mail
_LITTLE_FREE = 2 << 30
_LITTLE_SHARE = 0.05  # of the disk, or of its inodes
_FEW_FILES = 4_096
_SOON, _VERY_SOON = timedelta(days=21), timedelta(days=7)
_OTHERS_READ, _OTHERS_WRITE = 0o004, 0o022


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file or folder that holds a secret."""

    path: str
    mode: int | None  # permissions; None: it is not there, or cannot be looked at
    needed: bool = True  # the relay cannot do without it
    trouble: str = ""  # why it cannot be looked at
    folder: bool = False
    alone: bool = False  # in a container, where no other user is who could read it


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate as its file shows it."""

    path: str
    trouble: str = ""  # why it cannot be used with its key
    names: tuple[str, ...] = ()  # in lower case
    not_before: datetime | None = None
    not_after: datetime | None = None
    self_signed: bool = False
    hostname: str = ""  # that clients are told; "": they may ask for any


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The file system of a folder."""

    path: str
    free: int  # octets that we may use
    size: int
    free_inodes: int
    inodes: int  # 0: the file system has no such limit


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What is seen on this machine."""

    now: datetime
    open_files: int | None  # hard limit; None: without
    synchronised: bool | None  # whether the kernel's clock is; None: it does not say
    files: tuple[FileFacts, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    disks: tuple[DiskFacts, ...] = ()


def judge_place(facts: PlaceFacts) -> Iterator[CheckResult]:
    """All about this machine."""
    yield _clock(facts.synchronised)
    yield _open_files(facts.open_files)
    for disk in facts.disks:
        yield _disk(disk)
    for file in facts.files:
        yield _file(file)
    for certificate in facts.certificates:
        yield _certificate(certificate, facts.now)


def _clock(synchronised: bool | None) -> CheckResult:
    mend = "timedatectl set-ntp true, or chrony; in a container on the machine that it runs on"
    if synchronised is None:
        return right(CheckName.CLOCK, "this machine", "the kernel does not say who keeps the clock")
    if synchronised:
        return right(CheckName.CLOCK, "this machine", "kept by NTP")
    return advice(CheckName.CLOCK, "this machine", "nobody keeps the clock (no NTP)", mend)


def _open_files(limit: int | None) -> CheckResult:
    if limit is not None and limit < _FEW_FILES:
        mend = "LimitNOFILE=65536 in the systemd unit, or ulimits: nofile of the container"
        return wrong(CheckName.OPEN_FILES, "limit", f"{limit} open files, the hard limit", mend)
    seen = "no limit" if limit is None else f"{limit} open files"
    return right(CheckName.OPEN_FILES, "limit", seen)


def _disk(facts: DiskFacts) -> CheckResult:
    seen = f"{facts.free / (1 << 30):.1f} of {facts.size / (1 << 30):.1f} GiB are free"
    mend = "make room: a smaller POSTHOUSE_HISTORY_RETENTION_DAYS, or a larger disk"
    if facts.inodes and facts.free_inodes < _LITTLE_SHARE * facts.inodes:
        seen = f"{facts.free_inodes} of {facts.inodes} inodes are free"
        return wrong(CheckName.DISK, facts.path, seen, "remove small files from that disk")
    if facts.free < _LEAST_FREE:
        return wrong(CheckName.DISK, facts.path, seen, mend)
    if facts.free < min(_LITTLE_FREE, _LITTLE_SHARE * facts.size):
        return advice(CheckName.DISK, facts.path, seen, mend)
    return right(CheckName.DISK, facts.path, seen)


def _file(facts: FileFacts) -> CheckResult:
    check = CheckName.SECRET_KEY if facts.mode is None else CheckName.FILE_MODE
    if facts.mode is None:
        if not facts.needed:
            return unknown(check, facts.path, facts.trouble, f"ls -l {facts.path}")
        seen = f"it cannot be used: {facts.trouble}"
        return wrong(check, facts.path, seen, f"put your copy back, then chmod 600 {facts.path}")
    shown = f"mode {facts.mode:04o}"
    if facts.folder:
        if facts.mode & _OTHERS_WRITE and not facts.alone:
            return wrong(
                check, facts.path, f"{shown}: others may write", f"chmod go-w {facts.path}"
            )
    elif facts.mode & (_OTHERS_WRITE if facts.alone else _OTHERS_READ | _OTHERS_WRITE):
        seen, mend = f"{shown}: others may read or write it", f"chmod 600 {facts.path}"
        return wrong(check, facts.path, seen, mend)
    return right(check, facts.path, shown)


def _certificate(facts: CertificateFacts, now: datetime) -> CheckResult:
    check, path = CheckName.CERTIFICATE, facts.path
    if facts.trouble or facts.not_after is None or facts.not_before is None:
        mend = "name a certificate and its own key; until then the program does not start"
        return wrong(check, path, facts.trouble or "it holds no certificate", mend)
    if now < facts.not_before:
        mend = "timedatectl: is this machine's clock right? Else use the one before until then"
        return wrong(check, path, f"it is valid from {facts.not_before:%Y-%m-%d} on", mend)
    if facts.hostname and not _covers(facts.names, facts.hostname):
        seen = f"it is for {', '.join(facts.names)}, and clients ask for {facts.hostname}"
        return wrong(check, path, seen, f"get one for {facts.hostname}")
    seen, left = f"it is valid until {facts.not_after:%Y-%m-%d}", facts.not_after - now
    if left < _SOON:
        mend = f"renew it, and put it at {path}: it is read again by itself"
        return (wrong if left < _VERY_SOON else advice)(check, path, seen, mend)
    if facts.self_signed:
        mend = "get one that clients trust (docs/operating.md, TLS), or give them this file"
        return advice(check, path, f"{seen}, and nobody has signed it", mend)
    return right(check, path, seen)


def _covers(names: tuple[str, ...], hostname: str) -> bool:
    """RFC 6125 section 6.4: exactly, or a wildcard for the first label."""
    host = hostname.lower()
    return host in names or f"*.{host.partition('.')[2]}" in names


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """RabbitMQ, by what it says when one connects."""

    address: str  # host and port
    version: str = ""
    trouble: str = ""  # why there is no connection


_OLDEST_BROKER, _NEXT_BROKER = (3, 10), (5, 0)


def judge_broker(facts: BrokerFacts) -> CheckResult:
    """Whether it is there, and one that we know."""
    check, address = CheckName.BROKER, facts.address
    if facts.trouble:
        mend = "rabbitmq-diagnostics check_running on that host; or correct POSTHOUSE_BROKER_URL"
        return wrong(check, address, f"no connection: {facts.trouble}", mend)
    numbers = tuple(int(part) for part in facts.version.split(".")[:2] if part.isdecimal())
    if not _OLDEST_BROKER <= numbers < _NEXT_BROKER:
        seen = f"RabbitMQ {facts.version or 'of an unknown version'}"
        return wrong(check, address, seen, "install RabbitMQ 3.10 to 4.x")
    return right(check, address, f"RabbitMQ {facts.version}")


_KNOWN_PASSWORDS = frozenset(
    {"", "admin", "change-me", "changeme", "guest", "password", "postgres", "posthouse", "secret"}
)


def judge_passwords(passwords: Mapping[str, str]) -> Iterator[CheckResult]:
    """*passwords* by the setting that has them, of servers that are reached over a network."""
    for setting, password in passwords.items():
        if password in _KNOWN_PASSWORDS:
            seen = "the password is a default one" if password else "there is no password"
            mend = f"change it at the server, then in {setting}: docs/doctor.md, password"
            yield wrong(CheckName.PASSWORD, setting, seen, mend)
        else:
            yield right(CheckName.PASSWORD, setting, "no default one")
