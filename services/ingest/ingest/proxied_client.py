"""Who the client behind a proxy is (PROXY protocol)."""

from ipaddress import ip_address

import structlog
from prometheus_client import Counter

from ingest.listeners import Listener
from ingest.smtp_wire import ClientGone, SmtpWire
from posthouse.authentication.client_networks import client_address
from posthouse.smtp.proxy_header import BadProxyHeader

log = structlog.get_logger()

REFUSED = Counter(
    "posthouse_proxy_headers_refused",
    "Connections without a PROXY header that counts, on listeners that demand one",
    ["reason"],
)


async def introduce_client(wire: SmtpWire, listener: Listener, seconds: float) -> None:
    """Give *wire* the address of its client, as the proxy on its other side says within *seconds*.

    Where the proxy names none, the proxy is the client. Raises ClientGone when it is no proxy of
    the *listener*, or says no such thing; nothing is answered.
    """
    proxy = wire.client
    if not proxy or not any(ip_address(proxy) in network for network in listener.proxies):
        raise _refused("stranger", proxy, "its address is in no network of the listener")
    try:
        header = await wire.read_proxy_header(seconds)
    except BadProxyHeader as error:
        raise _refused("malformed", proxy, str(error)) from None
    except TimeoutError:
        raise _refused("timeout", proxy, f"not complete within {seconds:g} seconds") from None
    except ClientGone:
        if wire.has_said:
            raise _refused("closed", proxy, "closed within it") from None
        raise  # as checks of load balancers do
    if header.client is not None:
        wire.client = client_address(header.client)


def _refused(reason: str, proxy: str, text: str) -> ClientGone:
    REFUSED.labels(reason).inc()
    log.info("proxy_header_refused", client=proxy, reason=text)
    return ClientGone()
