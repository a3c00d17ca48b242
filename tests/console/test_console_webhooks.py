"""/v1/webhooks: endpoints of one's own accounts."""

from posthouse.mail.secret import Purpose, derive, unseal
from servers.running_console import SECRET_KEY, SHOP, RunningConsole, running_console

PATH = "/v1/webhooks"
URL = "https://hooks.shop.example/mail"


async def test_an_endpoint_is_added_changed_switched_and_removed(console: RunningConsole) -> None:
    """Each is in the audit; its secret is shown once, and kept so that the service reads it."""
    new = {"url": URL, "kinds": ["bounced"], "headers": {"X-Key": "k"}, "dialect": "critsend"}
    made = await console.ask("POST", PATH, new)
    assert made.status == 200, made.body
    path = f"{PATH}/{made.value['id']}"
    key = derive(SECRET_KEY, Purpose.WEBHOOK_SECRETS)
    kept = await console.stores.sql("SELECT sealed_fields FROM webhook_endpoints")
    assert unseal(kept[0]["sealed_fields"], key) == b'{"X-Key":"k"}'
    (listed,) = (await console.get(PATH)).value["webhooks"]
    assert (listed["url"], listed["kinds"], listed["state"]) == (URL, ["bounced"], "working")
    assert (listed["every_seconds"], listed["has_headers"]) == (300, True)
    assert made.value["secret"] not in str(listed)
    assert (await console.get(PATH, user="other")).value["webhooks"] == []
    changes = {"kinds": [], "note": "ours", "every_seconds": 0, "headers": {}}
    changed = (await console.ask("PATCH", path, changes)).value
    assert (changed["url"], changed["kinds"], changed["note"]) == (URL, [], "ours")
    assert (changed["every_seconds"], changed["has_headers"]) == (0, False)
    rotated = (await console.ask("POST", f"{path}/rotate", {})).value
    assert rotated["secret"] != made.value["secret"]
    assert (await console.get(path)).value["has_two_secrets"]
    states = [
        (await console.ask("POST", f"{path}/{name}")).value["state"] for name in ("pause", "resume")
    ]
    assert states == ["paused", "working"]
    assert (await console.ask("POST", f"{path}/replay", {})).value == {"events": None}
    dead = await console.ask("POST", f"{path}/replay", {"dead_letters": True})
    assert dead.value == {"events": 0}
    assert (await console.ask("DELETE", path)).status == 200
    assert (await console.get(path)).status == 404
    audit = await console.stores.sql("SELECT actor, action, account_id FROM audit ORDER BY at, id")
    done = ("add", "edit", "rotate", "pause", "resume", "replay", "remove")
    assert [tuple(row) for row in audit if row["action"].startswith("webhook ")] == [
        ("HTTP: shop", f"webhook {name}", SHOP) for name in done
    ]


async def test_what_was_sent_is_listed_in_pages(console: RunningConsole) -> None:
    path = f"{PATH}/{(await console.ask('POST', PATH, {'url': URL})).value['id']}"
    batch = (await console.ask("POST", f"{path}/test")).value["batch"]
    assert await console.stores.value("SELECT is_test FROM webhook_batches")
    await console.stores.sql(
        "INSERT INTO webhook_attempts (endpoint_id, batch_id, events, number, result, status,"
        " milliseconds) SELECT endpoint_id, id, 1, n, 'taken', 204, 7"
        " FROM webhook_batches, generate_series(1, 2) AS n"
    )
    first = (await console.get(f"{path}/deliveries?limit=1")).value
    second = (await console.get(f"{path}/deliveries?limit=2&cursor={first['cursor']}")).value
    numbers = [each["number"] for page in (first, second) for each in page["deliveries"]]
    assert (sorted(numbers), second["cursor"]) == ([1, 2], None)
    assert (first["deliveries"][0]["batch"], first["deliveries"][0]["status"]) == (batch, 204)
    assert (await console.get(f"{path}/deliveries?cursor=x")).status == 422


async def test_what_is_no_endpoint_is_refused(console: RunningConsole) -> None:
    path = f"{PATH}/{(await console.ask('POST', PATH, {'url': URL})).value['id']}"
    for more in (
        {"url": "http://hooks.shop.example"},
        {"kinds": ["lost"]},
        {"dialect": "klingon"},
        {"headers": {"Host": "x"}},
        {"every_seconds": 3_601},
    ):
        for answer in (
            await console.ask("POST", PATH, {"url": URL, **more}),
            await console.ask("PATCH", path, more),
        ):
            assert (answer.status, answer.value["type"]) == (422, "/v1/docs#invalid"), more


async def test_an_endpoint_may_do_without_tls_where_the_operator_allows_it(database: str) -> None:
    async with running_console(database, webhook_allow_http="true") as console:
        assert (await console.ask("POST", PATH, {"url": "http://hooks.shop.example"})).status == 200
