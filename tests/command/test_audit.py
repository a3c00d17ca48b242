"""What operators did is in the audit, with who, when and what."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from servers.posthouse_command import Run

Command: TypeAlias = Callable[..., Run]


def audited(posthouse: Command) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Action, account and detail of each line, oldest first."""
    lines = json.loads(posthouse("audit", "--json").stdout)
    assert all("@" in line["actor"] for line in lines)
    return [(line["action"], line["account"], line["detail"]) for line in reversed(lines)]


def test_domains_and_profiles_that_are_made_are_in_the_audit(posthouse: Command) -> None:
    posthouse("domain", "add", "a.example", "--account", "shop")
    posthouse("domain", "add", "a.example", "--account", "shop", status=1)
    posthouse(
        "credential", "create", "--account", "shop", "--username", "u", "--domain", "b.example"
    )
    knobs = ("--set", "tracking.opens=true")
    for preset in ("native", "mailup"):
        posthouse("profile", "create", "ours", "--account", "shop", "--from", preset, *knobs)
    added = {"verified": False, "onboarding": "records"}
    assert audited(posthouse) == [
        ("domain add", "shop", {"domain": "a.example", **added}),
        ("domain add", "shop", {"domain": "b.example", **added, "verified": True}),
        (
            "credential create",
            "shop",
            {"username": "u", "profile": "native", "permissions": ["smtp"]},
        ),
        *(
            (
                "profile create",
                "shop",
                {"profile": "ours", "revision": n, "preset": preset, "tracking.opens": True},
            )
            for n, preset in ((1, "native"), (2, "mailup"))
        ),
    ]


def test_what_is_done_with_the_quarantine_is_in_the_audit(posthouse: Command) -> None:
    posthouse("credential", "create", "--account", "shop", "--username", "u")
    posthouse("queue", "quarantine", "--reason", "a look")
    posthouse("queue", "release", "--account", "shop", "--reason", "a look", "--yes")
    posthouse("queue", "cancel", "--older-than", "2h", "--yes")
    _, quarantined, released, cancelled = audited(posthouse)
    assert quarantined == ("queue quarantine", None, {"messages": 0, "reason": "a look"})
    assert released == (
        "queue release",
        "shop",
        {"messages": 0, "account": "shop", "reason": "a look"},
    )
    assert cancelled == ("queue cancel", None, {"messages": 0, "older-than": "2h"})
