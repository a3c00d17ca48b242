"""Whether mail finds its way out: routes, port 25, the programs that carry it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from posthouse.doctor.check_result import CheckName, CheckResult, advice, right, unknown, wrong

_SINKS = ("sink", "mailhog", "mailpit", "mailcatcher", "maildev", "smtp4dev", "blackhole")
_SINK_PORTS = frozenset({1025, 2600, 8025})  # of mailhog, mailpit and maildev; and of our own sink
_NEEDED = ("ingest", "policy", "dispatcher", "bounces")


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """Where mail goes instead of to its MX."""

    host: str
    port: int
    domain: str = ""  # of which mail; "": all of it


@dataclass(frozen=True, slots=True)
class PortFacts:
    """What came of connecting to servers as deliveries do."""

    greeted: Mapping[str, str]  # by server: what it said first
    failed: Mapping[str, str]  # by server: why there was no connection
    smarthost: bool = False  # the server is the one that all mail goes to


def judge_settings(mistakes: Collection[str]) -> Iterator[CheckResult]:
    """*mistakes* as `posthouse config check` words them, each beginning with its variable."""
    for mistake in mistakes:
        variable = mistake.split()[0].rstrip(":")
        mend = "correct it, then: posthouse config check"
        yield wrong(CheckName.SETTINGS, variable, mistake, mend)
    if not mistakes:
        yield right(CheckName.SETTINGS, "environment", "all can be used")


def judge_routes(routes: Collection[RouteFacts]) -> Iterator[CheckResult]:
    """Whether any mail goes to a program that swallows it."""
    if not routes:
        yield right(CheckName.ROUTES, "POSTHOUSE_ROUTES", "mail goes where DNS says")
    for route in routes:
        what = f"mail to {route.domain}" if route.domain else "all mail"
        seen = f"{what} goes to {route.host}:{route.port}"
        label = route.host.lower().partition(".")[0]
        if route.port in _SINK_PORTS or any(name in label for name in _SINKS):
            mend = "POSTHOUSE_ROUTES= (empty: DNS decides), and start the dispatchers again"
            yield wrong(CheckName.ROUTES, "POSTHOUSE_ROUTES", f"{seen}, a sink for tests", mend)
        else:
            yield right(CheckName.ROUTES, "POSTHOUSE_ROUTES", seen)


def judge_port_25(facts: PortFacts) -> CheckResult:
    """Whether servers of the world can be reached, of which one is enough."""
    if facts.greeted:
        server, said = next(iter(facts.greeted.items()))
        return right(CheckName.PORT_25, server, said)
    if not facts.failed:
        seen = "no server to try was found in DNS"
        mend = "see the check of the resolver, or other POSTHOUSE_DOCTOR_PROBE_DOMAINS"
        return unknown(CheckName.PORT_25, "outwards", seen, mend)
    seen = "; ".join(f"{server}: {why}" for server, why in facts.failed.items())
    if facts.smarthost:
        return wrong(
            CheckName.PORT_25, "smarthost", seen, "correct POSTHOUSE_ROUTES, or the firewall"
        )
    mend = (
        "open port 25 outwards in the firewall, have your provider unblock it, or send through a "
        "smarthost on port 587: docs/operating.md"
    )
    return wrong(CheckName.PORT_25, "outwards", seen, mend)


def judge_programs(running: Collection[str]) -> CheckResult:
    """Whether every program that mail needs has said its name within the last hour."""
    missing = [] if "up" in running else [name for name in _NEEDED if name not in running]
    if not missing:
        return right(CheckName.PROGRAMS, "programs", ", ".join(sorted(running)))
    seen = f"none of these has run within the last hour: {', '.join(missing)}"
    mend = f"start it: {'; '.join(f'posthouse {name}' for name in missing)}"
    return wrong(CheckName.PROGRAMS, "programs", seen, mend)


def judge_versions(versions: Mapping[str, Sequence[str]]) -> CheckResult:
    """Whether all programs that run, by their version, are of the same."""
    seen = "; ".join(f"{version}: {', '.join(who)}" for version, who in sorted(versions.items()))
    if len(versions) == 1:
        return right(CheckName.VERSIONS, "programs", seen)
    mend = "finish the upgrade; a program that was replaced is named for a quarter of an hour"
    return advice(CheckName.VERSIONS, "programs", seen, mend)
