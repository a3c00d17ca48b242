"""Settings by which a command finds its installation, and of what it prints for customers."""

import socket
from pathlib import Path

from pydantic import Field

from posthouse.running.common_settings import (
    DatabaseUrl,
    Hosts,
    HostText,
    SecretKey,
    WithDoctor,
)


class InstallationSettings(WithDoctor):
    """Settings by which a command finds its installation."""

    data: Path = Path("data")
    """Folder of the onebox: its database, secret key and certificate."""

    database_url: DatabaseUrl | None = None
    """PostgreSQL to use, as postgresql://user:password@host:5432/name. Default: the one in the
    data folder."""

    secret_key: SecretKey | None = None
    """At least 32 random bytes in base64. Default: the one in the data folder."""

    hostname: str = Field(default_factory=socket.gethostname, min_length=1, max_length=255)
    """Name this relay gives itself, in greetings and in its certificate. Default: the machine's
    own name. Records for customers name what the running relay is called."""

    spf_include: HostText | None = None
    """Name of yours whose SPF record permits the hosts of this relay. With it the SPF records of
    sending domains have include:NAME, and new hosts need no change there; without it a:HOSTNAME."""

    key_zone: HostText | None = None
    """Zone of yours for the DKIM keys of domains that are added with `--dkim cname`: the domain has
    CNAME records that lead there, and its keys change without its owner."""

    zone_nameservers: Hosts = ()
    """Names of your name servers, with commas between them: sending domains that are set up by
    delegation are delegated to them."""
