"""GET /v1/reports: as JSON and as CSV, of one account."""

from datetime import UTC, datetime

from posthouse.store.event_feed import EventFeed, EventPage
from posthouse.store.traffic_counter import READER, TrafficCounter
from servers.running_console import BRANCH, OTHER, SHOP, RunningConsole


async def counted(console: RunningConsole) -> None:
    """Have all events counted."""
    feed, counter = EventFeed(console.stores.database), TrafficCounter(console.stores.database)
    page = await feed.read(await feed.position(READER))
    assert isinstance(page, EventPage)
    assert await counter.count(page)


async def test_M22_U22_reports_are_of_one_account_as_json_and_csv(console: RunningConsole) -> None:
    ids = [(await console.message(a))[0].submission_id.hex for a in (SHOP, SHOP, BRANCH, OTHER)]
    await counted(console)
    traffic = (await console.get("/v1/reports/traffic?by=lane&by=stream&stream=")).value
    assert traffic["by"] == ["lane", "stream"]
    assert traffic["total"]["accepted"] == 2
    assert (await console.get("/v1/reports/traffic?account=branch")).value["total"]["accepted"] == 1
    answer = await console.get("/v1/reports/traffic?by=lane", Accept="text/csv, */*;q=0.1")
    assert answer.fields["content-type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith(b"lane,accepted,recipients,")
    assert b"normal,2,4," in answer.body

    bill = (await console.get("/v1/reports/billing")).value
    line = {"account": "shop", "stream": "", "messages": 2, "recipients": 4, "deliveries": 0}
    assert bill == {"month": f"{datetime.now(UTC):%Y-%m}", "lines": [line]}
    answer = await console.get("/v1/reports/billing", Accept="text/csv")
    assert answer.body.startswith(b"month,account,stream,messages,")
    assert (await console.get("/v1/reports/deliverability?days=3")).value["reasons"] == []

    lines = (await console.get("/v1/reports/messages?since=1h")).value["recipients"]
    assert {line["message"] for line in lines} == set(ids[:3])
    answer = await console.get("/v1/reports/messages?since=1h&limit=1", Accept="text/csv")
    assert answer.body.count(b"\n") == 3  # names, and two recipients
    assert answer.fields["posthouse-cursor"] == ids[2]


async def test_what_a_report_cannot_be_asked_is_said(console: RunningConsole) -> None:
    for wrong in ("traffic?by=colour", "traffic?zone=Mars", "billing?month=may", "traffic?since=x",
                  "deliverability?days=0"):  # fmt: skip
        answer = await console.get(f"/v1/reports/{wrong}")
        assert (answer.status, answer.value["type"]) == (422, "/v1/docs#invalid"), wrong
