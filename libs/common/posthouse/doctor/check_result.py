"""What one check of an installation found: what is seen, why it matters, and what mends it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from posthouse.domains.findings import FindingState


class CheckName(StrEnum):
    """Every check that there is: the values are labels of a metric."""

    SETTINGS = "settings"
    HOSTNAME = "hostname"
    PROGRAMS = "programs"
    VERSIONS = "versions"
    ROUTES = "routes"
    PASSWORD = "password"  # noqa: S105 -- the name of a check
    SECRET_KEY = "secret_key"  # noqa: S105 -- the name of a check
    FILE_MODE = "file_mode"
    CERTIFICATE = "certificate"
    DISK = "disk"
    OPEN_FILES = "open_files"
    CLOCK = "clock"
    DATABASE = "database"
    SCHEMA = "schema"
    RESTORED = "restored"
    DURABILITY = "durability"
    CONNECTIONS = "connections"
    VACUUM = "vacuum"
    OLD_TRANSACTION = "old_transaction"
    WAL_KEPT = "wal_kept"
    DATABASE_CLOCK = "database_clock"
    BROKER = "broker"
    RESOLVER = "resolver"
    HOST_ADDRESS = "host_address"
    REVERSE_NAME = "reverse_name"
    RETURN_PATH = "return_path"
    SPF = "spf"
    BLOCKLIST = "blocklist"
    DOMAIN_KEYS = "domain_keys"
    PORT_25 = "port_25"


WHY: Mapping[CheckName, str] = {
    CheckName.SETTINGS: "a program does not start with settings that it cannot use",
    CheckName.HOSTNAME: "receivers look the name of EHLO up, and refuse or distrust mail of a host "
    "that has none of its own; return paths and links are made of it",
    CheckName.PROGRAMS: "mail waits in the queue, or reports are lost, where a program is missing",
    CheckName.VERSIONS: "two versions work side by side while programs are replaced; whoever stays "
    "behind lacks what the others have mended",
    CheckName.ROUTES: "a test sink takes every message and calls it delivered; nobody gets it",
    CheckName.PASSWORD: "everybody knows it: who reaches the port reads all mail",
    CheckName.SECRET_KEY: "logins, DKIM keys and return paths can be used with that one key only",
    CheckName.FILE_MODE: "other users of the machine can read or change what mail is signed with",
    CheckName.CERTIFICATE: "clients that check certificates cannot submit mail",
    CheckName.DISK: "without room the relay accepts no mail (452)",
    CheckName.OPEN_FILES: "each connection is an open file; without one no client gets in",
    CheckName.CLOCK: "mail carries the time of this machine; receivers distrust that of tomorrow",
    CheckName.DATABASE: "without it no mail is accepted (451) and none is sent",
    CheckName.SCHEMA: "programs wait for the schema that they need, and then end",
    CheckName.RESTORED: "open mail of a backup may have been sent since; nothing is sent by itself",
    CheckName.DURABILITY: "a 250 promises that the message survives a crash",
    CheckName.CONNECTIONS: "a program that gets no connection answers 451",
    CheckName.VACUUM: "the tables of open work are filled and emptied all day: without vacuum each "
    "claim takes longer than the one before, and in the end the database stops",
    CheckName.OLD_TRANSACTION: "while it is open no finished row is removed, and claims get slower",
    CheckName.WAL_KEPT: "the server keeps its log for a reader that is gone until the disk is full",
    CheckName.DATABASE_CLOCK: "the clock of the database decides what is due, leased or expired",
    CheckName.BROKER: "without it work is found by polling: up to a second later",
    CheckName.RESOLVER: "every delivery begins with DNS; an answer that is made up turns mail to "
    "dead domains into mail that waits for days",
    CheckName.HOST_ADDRESS: "receivers look the name of EHLO up",
    CheckName.REVERSE_NAME: "large receivers refuse mail of an address whose name does not lead "
    "back to it",
    CheckName.RETURN_PATH: "reports of undelivered mail come there; without it dead addresses are "
    "mailed again and again",
    CheckName.SPF: "receivers check the return path's host by SPF, and DMARC may depend on it",
    CheckName.BLOCKLIST: "receivers that use the list refuse our mail",
    CheckName.DOMAIN_KEYS: "mail of the domain is signed by a key that nobody finds: DKIM fails, "
    "and DMARC with it",
    CheckName.PORT_25: "mail leaves by port 25; many providers of machines block it until asked",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found of one subject."""

    check: CheckName
    subject: str  # a setting, a file, an address
    state: FindingState
    seen: str
    mend: str = ""  # a command or a change; "" if nothing is to be mended

    @property
    def why(self) -> str:
        """Why it matters."""
        return WHY[self.check]


def right(check: CheckName, subject: str, seen: str) -> CheckResult:
    """It is as it should be."""
    return CheckResult(check, subject, FindingState.RIGHT, seen)


def wrong(check: CheckName, subject: str, seen: str, mend: str) -> CheckResult:
    """A promise is broken, or will be."""
    return CheckResult(check, subject, FindingState.WRONG, seen, mend)


def advice(check: CheckName, subject: str, seen: str, mend: str) -> CheckResult:
    """It works, and could be better."""
    return CheckResult(check, subject, FindingState.ADVICE, seen, mend)


def unknown(check: CheckName, subject: str, seen: str, mend: str) -> CheckResult:
    """It could not be looked at."""
    return CheckResult(check, subject, FindingState.UNKNOWN, seen, mend)


def worst(results: Iterable[CheckResult]) -> FindingState:
    """What they say together: something is wrong, else unknown, else advice, else right."""
    found = {one.state for one in results}
    by_weight = (FindingState.WRONG, FindingState.UNKNOWN, FindingState.ADVICE)
    return next((state for state in by_weight if state in found), FindingState.RIGHT)
