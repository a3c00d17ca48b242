"""A message is reported by recipient, with what it did."""

from posthouse.mail.headline import Headline
from posthouse.mail.message_state import MessageState
from posthouse.mail.submission import Attributes
from posthouse.running.identity import new_id
from posthouse.store.message_reports import MessageReports, Reads
from posthouse.store.message_search import MessageSearch
from servers.stores import Stores, delivered

HAPPEN = """
INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)
SELECT new_id(), account_id, submission_id, id, $2, $3 FROM deliveries WHERE recipient = $1
"""


async def test_M16_a_report_has_the_id_of_the_reply_the_tags_states_opens_and_clicks(
    stores: Stores,
) -> None:
    ann, _ = await stores.queue(
        attributes=Attributes(tags=("order", "vip")), headline=Headline("Order 7")
    )
    claimed = await stores.claim_one()
    await stores.deliveries.settle(delivered(claimed))
    for verdict in ("human", "human", "machine", "unknown"):
        detail = {"verdict": verdict, "rule": "r"}
        await stores.sql(HAPPEN, "ann@dest.example", "opened", detail)
    await stores.sql(HAPPEN, "ann@dest.example", "clicked", {"verdict": "human", "link": 1})
    found = await MessageSearch(stores.database).named([ann.submission_id, new_id()])
    lines = await MessageReports(stores.database).of(found)
    reads = {line.recipient: line.reads for line in lines}
    assert {"ann@dest.example": Reads(2, 1, 1, 1), "bob@dest.example": Reads()} == reads
    states = {line.recipient: line.state for line in lines}
    assert MessageState.DELIVERED == states[claimed.delivery.recipient]
    assert {(ann.submission_id, ("order", "vip"), "Order 7")} == {
        (line.message.id, line.message.tags, line.message.subject) for line in lines
    }
