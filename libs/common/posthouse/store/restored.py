"""A database that was restored from a backup: mail that is open in it may have been sent since.

Its rows cannot tell. So the database keeps its own identity and that of its folder: if they are not
what it finds, it is a copy, and all open mail is quarantined before anything is sent.
"""

from typing import Any

import structlog

from posthouse.store.quarantine import quarantine_everything
from posthouse.store.queries import QUERIES

REASON = "restored"

log = structlog.get_logger()


async def quarantine_if_restored(connection: Any, folder: str | None) -> None:
    """If this is a copy, quarantine its open mail and give it an identity of its own.

    *folder* is `EmbeddedPostgres.folder_identity`, if we run the server ourselves.
    """
    async with connection.transaction():
        known = await connection.fetchrow(QUERIES["read_witness"])
        if known["same"] and not _is_copy(known["folder"], folder):
            if folder != known["folder"] and folder is not None:
                await connection.execute(QUERIES["stamp_database_identity"], folder)
            return
        # An old backup has no partition for the events of this week.
        await connection.fetch(QUERIES["add_partitions"], "events", "week", 1)
        await connection.execute(QUERIES["begin_incarnation"])
        # Their notices may have been sent since.
        await connection.execute(QUERIES["forget_untold"])
        quarantined = await quarantine_everything(connection, REASON)
        await connection.execute(QUERIES["stamp_database_identity"], folder)
    log.warning(
        "database_restored",
        quarantined=quarantined,
        hint="open mail of the backup is not sent again: see `posthouse queue quarantined`",
    )


def _is_copy(known: str | None, folder: str | None) -> bool:
    """Whether all parts of the folder's identity differ.

    A change of owner alters one part. The other may be an inode number, and some file systems
    assign new ones at each start.
    """
    if known is None or folder is None:
        return False
    return all(a != b for a, b in zip(known.split(":"), folder.split(":"), strict=True))
