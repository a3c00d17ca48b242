"""What all tests share: real servers, and a last word about what could not run."""

from collections import Counter
from importlib.util import find_spec

import pytest

_SERVERS = ("servers.postgres", "servers.rabbitmq")

pytest_plugins = [name for name in _SERVERS if find_spec(name)]


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
