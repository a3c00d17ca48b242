"""Where connections to destinations begin, on a machine that has several addresses."""

from collections.abc import Iterable
from dataclasses import dataclass

from dispatcher.core.refused_hosts import IpAddress


@dataclass(frozen=True, slots=True)
class SourceAddresses:
    """Addresses of this machine, at most one of each version of IP; none: the system chooses."""

    addresses: tuple[IpAddress, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where there are two of one version."""
        if len({address.version for address in self.addresses}) < len(self.addresses):
            raise ValueError("should have at most one address of IPv4 and one of IPv6")

    def __str__(self) -> str:
        return ",".join(map(str, self.addresses))

    def reached(self, destinations: Iterable[str]) -> list[str]:
        """Those of *destinations* that a connection can begin towards."""
        versions = {address.version for address in self.addresses}
        return [to for to in destinations if not versions or _version(to) in versions]

    def towards(self, destination: str) -> tuple[str, int] | None:
        """Address and port (any: 0) at which a connection to *destination* begins; None: any."""
        for address in self.addresses:
            if address.version == _version(destination):
                return str(address), 0
        return None

    def name_towards(self, destination: str) -> str:
        """That address as text; "" where the system chooses."""
        return (self.towards(destination) or ("", 0))[0]


def _version(address: str) -> int:
    return 6 if ":" in address else 4
