"""PostgreSQL and RabbitMQ for separate services, as a process tree of their own.

    PYTHONPATH=tests python -m bench.backing FOLDER

Prints one JSON line with their URLs and stops them at SIGTERM. PostgreSQL runs with the settings
of the product, RabbitMQ with its own.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from onebox.postgres_server import EmbeddedPostgres
from posthouse.running import logs
from servers.rabbitmq_private import PrivateNode, installed_scripts


async def main(folder: Path) -> None:
    """Run both until SIGTERM."""
    logs.configure("backing", stream=sys.stderr)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    (folder / "rabbitmq").mkdir(exist_ok=True)
    broker = await asyncio.to_thread(PrivateNode, folder / "rabbitmq", installed_scripts())
    try:
        async with EmbeddedPostgres(folder / "postgres") as database:
            urls = {"database_url": database.dsn, "broker_url": broker.url}
            print(json.dumps(urls), flush=True)
            await stopping.wait()
    finally:
        broker.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
