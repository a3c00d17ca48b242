"""`posthouse domain tracking`: a host of a domain for its links, from its record to its use."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from posthouse.store.postgres import Postgres
from posthouse.store.relay_names import NameOnRecord, RelayName
from servers.posthouse_command import Run

Command: TypeAlias = Callable[..., Run]
HOST, LINE = "click.x.example", "click.x.example. IN CNAME t.relay.example."


async def test_T26_the_tracking_host_of_a_domain_is_set_shown_and_removed(
    posthouse: Command, database: str
) -> None:
    def tracking(*options: str, status: int = 0) -> Run:
        return posthouse("domain", "tracking", "x.example", *options, status=status)

    def listed() -> dict[str, Any]:
        (domain,) = json.loads(posthouse("domain", "list", "--json").stdout)
        return dict(domain)

    posthouse("domain", "add", "x.example", "--no-ed25519", "--return-path-host", "b.x.example")
    assert "set POSTHOUSE_TRACKING_URL" in tracking("--host", HOST, status=1).stderr
    async with Postgres(database) as store:
        name = RelayName("policy", "relay.example", tracking_host="t.relay.example")
        await NameOnRecord(store, name).say()

        for wrong, complaint in (
            ("x.example", "x.example is no name below x.example"),
            ("clickx.example", "clickx.example is no name below x.example"),
            ("b.x.example", "takes returned mail"),
        ):
            assert complaint in tracking("--host", wrong, status=1).stderr
        assert "exclude each other" in tracking("--host", HOST, "--none", status=2).stderr
        assert "has no tracking host of its own" in tracking().stdout

        said = tracking("--host", "Click.X.example.").stdout
        assert f"{HOST} is not used: it was not probed yet" in said
        assert LINE in said
        assert LINE in posthouse("domain", "records", "x.example").stdout
        assert f"{HOST} CNAME" in posthouse("domain", "check", "x.example", status=1).stdout
        assert f"{HOST} (not used)" in posthouse("domain", "list").stdout
        assert (HOST, "it was not probed yet") == (
            listed()["tracking_host"],
            listed()["tracking_trouble"],
        )

        async with store.connection() as connection:
            await connection.execute("UPDATE tracking_hosts SET led_here_at = now()")
        assert f"tracked links of x.example lead to https://{HOST}" in tracking().stdout
        shown = json.loads(tracking("--json").stdout)
        assert (HOST, None) == (shown["tracking_host"], shown["tracking_trouble"])
    tracking("--none")
    assert listed()["tracking_host"] is None
    assert LINE not in posthouse("domain", "records", "x.example").stdout
    assert 2 == posthouse("audit").stdout.count("tracking host set")
