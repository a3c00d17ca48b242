"""/v1/queue: what waits in one account, and what is done to it."""

from servers.http_door import Answer
from servers.running_console import BRANCH, OTHER, SHOP, RunningConsole


async def open_mail(console: RunningConsole, account: object) -> int:
    """How many deliveries of the account wait."""
    count = "SELECT count(*) FROM due_deliveries WHERE account_id = $1"
    return int(await console.stores.value(count, account))


async def test_a_key_counts_and_cancels_what_waits_in_its_own_account(
    console: RunningConsole,
) -> None:
    (mine, _) = await console.message(SHOP)
    await console.message(SHOP, recipients=("zoe@other.example",))
    await console.message(BRANCH)
    (theirs, _) = await console.message(OTHER)
    waiting = (await console.get("/v1/queue")).value
    assert waiting["messages"] == 3
    assert waiting["counts"][0]["lane"] == "normal"
    assert (await console.get("/v1/queue?domain=other.example")).value["messages"] == 1
    assert (await console.get("/v1/queue?account=branch")).value["messages"] == 2

    async def cancel(value: object, more: str = "") -> Answer:
        return await console.ask("POST", f"/v1/queue/cancel{more}", value)

    for ids in ([theirs.submission_id.hex], [mine.submission_id.hex, theirs.submission_id.hex]):
        answer = await cancel({"ids": ids})
        assert (answer.status, answer.value["type"]) == (404, "/v1/docs#not-found")
    assert (await cancel({"ids": [mine.submission_id.hex]}, "?account=branch")).status == 404
    assert await open_mail(console, SHOP) == 3
    answer = await cancel({"ids": [mine.submission_id.hex]})
    assert answer.value == {"changed": 2, "missed": 0}
    assert (await cancel({"everything": True})).value["changed"] == 1
    assert [await open_mail(console, one) for one in (SHOP, BRANCH, OTHER)] == [0, 2, 2]
    (line,) = await console.stores.sql(
        "SELECT actor, detail FROM audit WHERE action = 'queue cancel' ORDER BY at DESC LIMIT 1"
    )
    assert (line["actor"], line["detail"]["account"]) == ("HTTP: shop", "shop")


async def test_what_the_operator_quarantined_stays(console: RunningConsole) -> None:
    await console.message(SHOP)
    await console.stores.sql(
        "WITH gone AS (DELETE FROM due_deliveries RETURNING *)"
        " INSERT INTO quarantined_deliveries (id, account_id, submission_id, lane, size,"
        " received_at, expires_at, claim, tries, site, held, reason)"
        " SELECT id, account_id, new_id(), lane, size, received_at, expires_at, 1, 1, '', false,"
        " 'why' FROM gone"
    )
    answer = await console.ask("POST", "/v1/queue/cancel", {"everything": True})
    assert answer.value["changed"] == 0
    assert (await console.get("/v1/queue?state=quarantined")).status == 422


async def test_an_operation_says_which_mail_it_means(console: RunningConsole) -> None:
    for operation, value in (
        ("cancel", {}),
        ("cancel", {"words": {"colour": "red"}}),
        ("cancel", {"words": {"account": "other"}}),
        ("cancel", {"words": {"older-than": "soon"}}),
        ("cancel", {"ids": ["x"]}),
        ("bounce", {"everything": True}),
    ):
        answer = await console.ask("POST", f"/v1/queue/{operation}", value)
        assert (answer.status, answer.value["type"]) == (422, "/v1/docs#invalid"), value
    for operation in ("release", "hold"):  # are the operator's
        assert (await console.ask("POST", f"/v1/queue/{operation}", {})).status == 404
