"""What all tests share: real servers, their order, and a report of what could not run."""

from collections import Counter
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

_SERVERS = ("servers.postgres", "servers.rabbitmq")

pytest_plugins = [name for name in _SERVERS if find_spec(name)]

# No example fails because the machine is busy: 200 ms is nothing to it.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in each run, or a fault of old would stop a change that has no part in it;
# `make test ARGS=--hypothesis-profile=other` draws others.
settings.register_profile("same", _PATIENT, derandomize=True)
settings.register_profile("other", _PATIENT, derandomize=False, print_blob=True)
settings.load_profile("same")

# Those that take longest go first, so that no process has a long one left when the others are done.
_FIRST = ("chaos", "faults", "e2e", "verifiers", "contract", "command", "onebox", "flow", "store")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests; see `make test`, which gives file after file to several processes."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly, at the end, what was skipped and why: a green run must not hide it."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    if not reasons:
        return
    total = sum(reasons.values())
    terminalreporter.section(f"NOT TESTED: {total} skipped", sep="!", red=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5d}  {reason}", yellow=True)
