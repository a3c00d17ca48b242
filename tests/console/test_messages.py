"""GET /v1/messages/ID: what became of a message."""

from posthouse.mail.headline import Headline
from posthouse.mail.submission import Attributes
from servers.running_console import BRANCH, OTHER, SHOP, RunningConsole
from servers.stores import delivered


async def test_M16_what_became_of_the_message_that_an_id_names(console: RunningConsole) -> None:
    """By the id of the 250, and for each recipient."""
    attributes = Attributes(tags=("may", "news"), stream="letters", metadata={"order": 7})
    (to_ann, _) = await console.message(
        attributes=attributes, headline=Headline("Hello", "jo@sender.example")
    )
    claimed = next(
        one
        for one in (await console.stores.deliveries.claim(2)).deliveries
        if one.delivery.id == to_ann.id
    )
    await console.stores.deliveries.settle(delivered(claimed))
    read: tuple[tuple[str, dict[str, str]], ...] = (
        ("opened", {"verdict": "machine"}),
        ("opened", {}),
        ("clicked", {"verdict": "human"}),
    )
    for kind, detail in read:
        await console.stores.sql(
            "INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)"
            " VALUES (new_id(), $1, $2, $3, $4, $5)",
            to_ann.account_id, to_ann.submission_id, to_ann.id, kind, detail,
        )  # fmt: skip
    answer = await console.get(f"/v1/messages/{to_ann.submission_id.hex}")
    told = answer.value
    assert answer.status == 200, answer.body
    assert answer.fields["cache-control"] == "no-store"
    assert (told["id"], told["account"], told["from"]) == (
        to_ann.submission_id.hex,
        "shop",
        "shop@sender.example",
    )
    assert (told["subject"], told["author"], told["tags"], told["stream"]) == (
        "Hello",
        "jo@sender.example",
        ["may", "news"],
        "letters",
    )
    ann, bob = told["recipients"]
    assert (ann["recipient"], ann["state"], ann["next_attempt_at"]) == (
        "ann@dest.example",
        "delivered",
        None,
    )
    assert ann["opens"] == {"human": 0, "machine": 1, "unknown": 1}
    assert ann["clicks"] == {"human": 1, "machine": 0, "unknown": 0}
    assert (bob["state"], bob["opens"]["unknown"]) == ("inflight", 0)
    assert bob["next_attempt_at"]
    kinds = [event["kind"] for event in told["events"]]
    assert kinds == ["accepted", "prepared", "delivered", "opened", "opened", "clicked"]
    event = told["events"][2]
    assert (event["recipient"], event["detail"]) == ("ann@dest.example", {})


async def test_messages_are_found_page_by_page_in_ones_own_accounts(
    console: RunningConsole,
) -> None:
    for number, account in enumerate((SHOP, BRANCH, SHOP, OTHER)):
        attributes = Attributes(tags=("may",))
        await console.message(
            account, attributes=attributes, headline=Headline(f"Offer {number}", "jo@x.example")
        )
    found, path = [], "/v1/messages?state=inflight,ready&limit=2"
    while path:
        page = (await console.get(path)).value
        found += [(one["subject"], one["account"]) for one in page["messages"]]
        path = (
            page["cursor"] and f"/v1/messages?state=inflight,ready&limit=2&cursor={page['cursor']}"
        )
    assert found == [("Offer 2", "shop"), ("Offer 1", "branch"), ("Offer 0", "shop")]

    async def subjects(words: str, user: str = "shop") -> list[str]:
        answer = await console.get(f"/v1/messages?{words}", user=user)
        assert answer.status == 200, answer.body
        return [one["subject"] for one in answer.value["messages"]]

    assert await subjects("subject=offer") == ["Offer 2", "Offer 0"]
    assert await subjects("subject=offer&account=branch") == ["Offer 1"]
    assert await subjects("since=1h", "other") == ["Offer 3"]
    for wrong in ("state=lost", "since=yesterday", "cursor=x", "limit=201", "limit=x", "limit=0"):
        answer = await console.get(f"/v1/messages?{wrong}")
        assert (answer.status, answer.value["type"]) == (422, "/v1/docs#invalid"), wrong
