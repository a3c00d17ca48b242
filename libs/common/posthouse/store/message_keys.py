"""By what messages are found: keys of each submission, written behind the events.

They are written in batches off the path of mail, some seconds after the acceptance, and once for
each message: with the cursor, in one transaction. After an upgrade the past comes in first.
"""

from posthouse.store.event_feed import EventPage, FeedReader, moving
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

READER = FeedReader("message_keys", lock=0x6D6573736B657973)


class MessageKeys:
    """A consumer of events in every bounces process; one at a time has the turn."""

    reader = READER

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def take(self, page: EventPage) -> bool:
        """Write the keys of what *page* accepted; False if another process has the turn."""
        after, last = page.after, page.last
        async with moving(self._database, READER, after, last) as connection:
            if connection is None:
                return False
            await connection.fetch(
                QUERIES["add_message_keys"], after.xid, after.id, last.xid, last.id
            )
        return True

    async def act(self) -> bool:
        """Nothing is ever due."""
        return False
