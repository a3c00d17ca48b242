"""What rows beside those of a message take on the disk: `python -m bench.row_sizes`.

Octets a row with its indexes, of 20,000 typical ones in a database of their own. What a message
itself leaves is measured by `bench.footprint`.
"""

import asyncio
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from onebox.postgres_server import EmbeddedPostgres
from posthouse.store.migrate import migrate

_ROWS = 20_000
# A table, what one row of it is, and the statement that makes $1 of them.
_KINDS = re.compile(r"^-- (\w+): (.+)\n((?:.+\n)+)", re.MULTILINE)
_ACCOUNT = """
INSERT INTO accounts (id, name) VALUES ('00000000-0000-7000-8000-000000000001', 'rows')
"""
_SIZE = """
SELECT COALESCE(sum(pg_total_relation_size(relid)), pg_total_relation_size($1::regclass))::float8
FROM pg_partition_tree($1::regclass) WHERE isleaf
"""


async def main() -> None:
    """Measure and print."""
    kinds = _KINDS.findall(Path(__file__).with_suffix(".sql").read_text())
    with TemporaryDirectory(prefix="posthouse-rows-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 -- PostgreSQL is another user
        async with EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            await migrate(postgres.dsn)
            database = await asyncpg.connect(postgres.dsn)
            await database.execute(_ACCOUNT)
            for table, what, make in kinds:
                before = await database.fetchval(_SIZE, table)
                await database.execute(make.replace("$1", str(_ROWS)))
                after = await database.fetchval(_SIZE, table)
                print(f"{(after - before) / _ROWS:8.0f} octets: {what} ({table})")
            await database.close()


if __name__ == "__main__":
    asyncio.run(main())
