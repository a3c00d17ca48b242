"""Connects to RabbitMQ, to hear what it says of itself."""

from urllib.parse import urlsplit

import aio_pika
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from posthouse.broker import BrokerUnavailable
from posthouse.broker.amqp_connection import close, find_host, within
from posthouse.doctor.place_judges import BrokerFacts

_SECONDS = 10.0


async def broker_facts(url: str) -> BrokerFacts:
    """What RabbitMQ at *url* says of itself."""
    parts = urlsplit(url)
    address = f"{parts.hostname}:{parts.port or 5672}"
    connection = aio_pika.Connection(make_url(url, name="posthouse doctor"))
    try:
        async with within(_SECONDS):
            await find_host(url)
            await connection.connect()
    except (BrokerUnavailable, OSError, *CONNECTION_EXCEPTIONS) as error:
        return BrokerFacts(address, trouble=str(error) or type(error).__name__)
    try:
        transport = connection.transport
        assert transport is not None
        version = transport.connection.server_properties.get("version", b"")
    finally:
        await close(connection)
    return BrokerFacts(address, version.decode() if isinstance(version, bytes) else str(version))
