"""Which client sent a request, where proxies stand before us."""

from ipaddress import ip_address

from starlette.types import Scope

from posthouse.authentication.client_networks import client_address, is_within


class RequestClient:
    """Believes X-Forwarded-For of named proxies, and of nobody else."""

    def __init__(self, proxies: tuple[str, ...]) -> None:
        """*proxies*: networks, as `ipaddress.ip_network` reads them."""
        self._proxies = proxies

    def of(self, scope: Scope) -> str:
        """The address of the client: the last one that a proxy of ours names."""
        peer = scope.get("client")
        client = client_address(peer[0]) if peer else ""
        if not self._proxies or not self._is_proxy(client):
            return client
        told = b",".join(v for name, v in scope["headers"] if name == b"x-forwarded-for")
        for text in reversed(told.decode("latin-1").split(",")):
            address = _address(text.strip())
            if address is None:
                break
            client = address
            if not self._is_proxy(client):
                break
        return client

    def _is_proxy(self, client: str) -> bool:
        return _address(client) is not None and is_within(client, self._proxies)


def _address(text: str) -> str | None:
    try:
        return client_address(str(ip_address(text)))
    except ValueError:
        return None
