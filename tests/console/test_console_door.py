"""Who may ask the console, and about which accounts."""

from datetime import timedelta
from uuid import UUID

from posthouse.http.api_description import PATH_PART
from posthouse.mail.permission import Permission
from posthouse.store.webhook_endpoints import WebhookStore, WebhookTerms
from servers.http_door import Answer
from servers.running_console import BRANCH, OTHER, SHOP, RunningConsole, running_console

NOBODY = UUID(int=99).hex


async def theirs(console: RunningConsole) -> dict[str, str]:
    """By path of a route, the id of something that the account "other" has there.

    Who adds a route with parts in its path adds a line here.
    """
    (delivery, *_) = await console.message(OTHER)
    terms = WebhookTerms("https://hooks.other.example", "native", (), (), timedelta())
    webhook = await WebhookStore(console.stores.database).create(OTHER, terms, b"sealed")
    one = "/v1/webhooks/{id}"
    of_one = ("deliveries", "pause", "replay", "resume", "rotate", "test")
    return {
        "/v1/messages/{id}": delivery.submission_id.hex,
        **dict.fromkeys((one, *(f"{one}/{name}" for name in of_one)), webhook.hex),
    }


def problem(answer: Answer) -> tuple[int, str, str]:
    """Status, kind and detail of what was not carried out."""
    assert answer.fields["content-type"] == "application/problem+json"
    kind = str(answer.value["type"]).removeprefix("/v1/docs#")
    assert answer.value["status"] == answer.status
    return answer.status, kind, answer.value["detail"]


async def test_another_accounts_ids_are_not_there_on_any_route(console: RunningConsole) -> None:
    """Neither in a path nor as ?account=: what is answered is what nobody's id gets."""
    foreign = await theirs(console)
    assert console.routes
    for route in console.routes:
        plain = route.path
        if PATH_PART.search(route.path):
            path = PATH_PART.sub(foreign[route.path], route.path)
            nowhere = PATH_PART.sub(NOBODY, route.path)
            status, kind, detail = problem(await console.ask(route.method, path, {}))
            assert (status, kind) == (404, "not-found"), route
            missing = problem(await console.ask(route.method, nowhere, {}))
            assert missing[:2] == (404, "not-found")
            assert missing[2].replace(NOBODY, "") == detail.replace(foreign[route.path], "")
            if route.method == "GET":  # it is there for who has it
                assert (await console.get(path, user="other")).status == 200
            plain = nowhere
        asked = [await console.ask(route.method, f"{plain}?account={name}", {})
                 for name in ("other", "nobody")]  # fmt: skip
        assert [problem(each) for each in asked] == [
            (404, "not-found", f"This account has no account {name!a}")
            for name in ("other", "nobody")
        ], route


async def test_every_route_needs_a_key_and_its_permission(console: RunningConsole) -> None:
    await console.user("sender", SHOP, (Permission.SMTP, Permission.HTTP))
    for route in console.routes:
        path = PATH_PART.sub(NOBODY, route.path)
        nobody = await console.ask(route.method, path, Authorization="")
        assert problem(nobody)[:2] == (401, "unauthorized")
        assert "Bearer" in nobody.fields["www-authenticate"]
        if route.needed is not None:
            refused = problem(await console.ask(route.method, path, user="sender"))
            detail = f"This user has no permission {route.needed}: give it that, or use another"
            assert refused == (403, "forbidden", detail)
            await console.user(f"may {route.method} {path}", SHOP, (route.needed,))
            allowed = await console.ask(route.method, path, {}, user=f"may {route.method} {path}")
            assert allowed.status not in (401, 403), route


async def test_a_key_of_a_parent_reads_its_childrens(console: RunningConsole) -> None:
    """And one of a child nothing of its parent."""
    (of_branch, *_) = await console.message(BRANCH)
    (of_shop, *_) = await console.message(SHOP)
    statuses = [
        (await console.get(f"/v1/messages/{delivery.submission_id.hex}{more}", user=user)).status
        for delivery, more, user in (
            (of_branch, "", "shop"),
            (of_branch, "?account=branch", "shop"),
            (of_branch, "?account=shop", "shop"),
            (of_branch, "", "branch"),
            (of_shop, "", "branch"),
            (of_shop, "?account=shop", "branch"),
        )
    ]
    assert statuses == [200, 200, 404, 200, 404, 404]


async def test_wrong_secrets_are_refused_and_then_no_more_looked_at(
    console: RunningConsole,
) -> None:
    for wrong in ("Bearer shop.wrong", "Basic c2hvcDp3cm9uZw==", "Digest x", "Bearer "):
        answer = await console.get(f"/v1/messages/{NOBODY}", Authorization=wrong)
        assert answer.status == 401
    assert (await console.get("/v1/messages/x")).status == 404  # it is known from here
    await console.user("twin", OTHER)
    for _ in range(10):
        await console.get("/v1/messages/x", Authorization="Bearer twin.wrong")
    answer = await console.get("/v1/messages/x", user="twin")
    assert problem(answer)[:2] == (429, "too-many")
    assert int(answer.fields["retry-after"]) > 60


async def test_a_key_counts_where_its_profile_lets_it(console: RunningConsole) -> None:
    accounts = (
        ("secure", {"session.require_tls": True}),
        ("far", {"session.allowed_networks": ["192.0.2.0/24"]}),
    )
    for name, knobs in accounts:
        await console.stores.sql(
            "INSERT INTO profiles (account_id, name, revision, preset, preset_revision, knobs)"
            " VALUES ($1, $2, 1, 'native', 1, $3)",
            SHOP, name, knobs,
        )  # fmt: skip
        await console.user(name, SHOP, profile=name)
    assert problem(await console.get("/v1/messages/x", user="secure"))[:2] == (403, "forbidden")
    assert problem(await console.get("/v1/messages/x", user="far"))[:2] == (401, "unauthorized")


async def test_what_a_proxy_says_of_the_client_counts(database: str) -> None:
    async with running_console(database, proxies="127.0.0.0/8") as console:
        await console.stores.sql(
            "INSERT INTO profiles (account_id, name, revision, preset, preset_revision, knobs)"
            " VALUES ($1, 'far', 1, 'native', 1, $2)",
            SHOP,
            {"session.require_tls": True, "session.allowed_networks": ["192.0.2.0/24"]},
        )
        await console.user("far", SHOP, profile="far")
        told = {"X_Forwarded_For": "198.51.100.1, 192.0.2.7", "X_Forwarded_Proto": "https"}
        assert (await console.get("/v1/messages/x", user="far", **told)).status == 404
        told["X_Forwarded_For"] = "192.0.2.7, 198.51.100.1"
        assert (await console.get("/v1/messages/x", user="far", **told)).status == 401


async def test_a_key_may_ask_so_often(database: str) -> None:
    """And another one is not slowed down."""
    async with running_console(database, requests_a_minute="2") as console:
        statuses = [(await console.get("/v1/messages/x")).status for _ in range(3)]
        assert statuses == [404, 404, 429]
        assert (await console.get("/v1/messages/x", user="other")).status == 404


async def test_what_cannot_be_asked_is_told_as_a_problem(console: RunningConsole) -> None:
    for method, path, expected in (
        ("GET", "/v1/nothing", (404, "not-found")),
        ("PUT", "/v1/messages/x", (405, "bad-request")),
        ("GET", "/v1/messages/x?colour=red", (400, "bad-request")),
        ("GET", "/v1/messages/x?account=", (422, "invalid")),
        ("GET", "/v1/messages/x?account=shop&account=branch", (400, "bad-request")),
        ("POST", "/v1/openapi.json", (405, "bad-request")),
    ):
        assert problem(await console.ask(method, path))[:2] == expected, path


async def test_the_description_names_every_route_and_its_problems(console: RunningConsole) -> None:
    described = (await console.get("/v1/openapi.json", Authorization="")).value
    assert described["openapi"] == "3.1.0"
    assert {(path, method.upper()) for path, of in described["paths"].items() for method in of} == {
        (route.path, route.method) for route in console.routes
    }
    page = await console.get("/v1/docs", Authorization="")
    assert b'id="not-found"' in page.body
    assert b"key-taken" not in page.body
