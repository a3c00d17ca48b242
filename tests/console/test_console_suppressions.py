"""/v1/suppressions: who is not mailed by one account."""

from servers.running_console import OTHER, RunningConsole

PATH = "/v1/suppressions"


async def test_an_address_is_put_on_a_list_and_taken_off_again(console: RunningConsole) -> None:
    """Both are in the audit, under the name of the key."""
    new = {"address": "Ann@Dest.example", "reason": "asked us", "stream": "news"}
    added = await console.ask("POST", PATH, new)
    assert added.value == {"address": "Ann@dest.example", "added": True}
    assert (await console.ask("POST", PATH, new)).value["added"] is False
    await console.ask("POST", PATH, {"address": "@spam.example", "list": "complaint"})
    await console.ask("POST", PATH, {"address": "bob@dest.example"}, user="other")

    (ann, spam) = (await console.get(PATH)).value["entries"][::-1]
    assert (spam["address"], spam["list"], spam["stream"]) == ("@spam.example", "complaint", None)
    assert (ann["address"], ann["list"], ann["stream"], ann["reason"], ann["until"]) == (
        "Ann@dest.example", "manual", "news", "asked us", None,
    )  # fmt: skip
    asked = {"addresses": ["bob@dest.example", "ANN@dest.example", "x@spam.example"]}
    results = (await console.ask("POST", f"{PATH}/check", asked)).value["results"]
    assert [(one["address"], len(one["entries"])) for one in results] == [
        ("bob@dest.example", 0), ("ANN@dest.example", 1), ("x@spam.example", 1),
    ]  # fmt: skip

    bob = await console.ask("DELETE", f"{PATH}?address=bob@dest.example")
    assert bob.status == 404
    assert (await console.get(PATH, user="other")).value["entries"]
    gone = await console.ask("DELETE", f"{PATH}?address=ann@dest.example&list=manual")
    assert (gone.status, len((await console.get(PATH)).value["entries"])) == (200, 1)
    audit = await console.stores.sql("SELECT actor, action, account_id FROM audit ORDER BY at, id")
    assert [(r["actor"], r["action"]) for r in audit if r["account_id"] != OTHER] == [
        ("HTTP: shop", "suppression add"),
        ("HTTP: shop", "suppression add"),
        ("HTTP: shop", "suppression remove"),
    ]


async def test_entries_come_in_pages(console: RunningConsole) -> None:
    for name in ("c", "a", "b", "e", "d"):
        await console.ask("POST", PATH, {"address": f"{name}@dest.example"})
    await console.ask("POST", PATH, {"address": "a@dest.example", "list": "unsubscribe"})
    found: list[str] = []
    path = f"{PATH}?limit=2"
    while path:
        page = (await console.get(path)).value
        found += [one["address"][0] for one in page["entries"]]
        path = page["cursor"] and f"{PATH}?limit=2&cursor={page['cursor']}"
    assert "".join(found) == "aabcde"
    chosen = (await console.get(f"{PATH}?list=unsubscribe&text=A@")).value
    assert ([one["list"] for one in chosen["entries"]], chosen["cursor"]) == (["unsubscribe"], None)


async def test_what_is_no_entry_is_refused(console: RunningConsole) -> None:
    for value, status in (
        ({"address": "no address"}, 422),
        ({"address": "a@b.example", "stream": "x", "tag": "y"}, 422),
        ({"address": "a@b.example", "colour": 1}, 422),
        ({"address": "a@b.example", "list": "mine"}, 422),
        ({"address": "a@b.example", "until": "2030-01-01T00:00:00"}, 422),
        (b"{", 400),
    ):
        assert (await console.ask("POST", PATH, value)).status == status, value
    assert (await console.ask("POST", PATH, b"{}", Content_Type="text/plain")).status == 415
    assert (await console.ask("POST", PATH, b" " * 1_048_577)).status == 413
    assert (await console.ask("DELETE", PATH)).status == 422
    assert (await console.get(f"{PATH}?cursor=WyJhIl0")).status == 422
    assert (await console.get(f"{PATH}?list=mine")).status == 422
    many = {"addresses": ["a@b.example"] * 1_001}
    assert (await console.ask("POST", f"{PATH}/check", many)).status == 422
