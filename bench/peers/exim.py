"""Exim with its own DKIM: Debian's light build, delivering at once to a smarthost.

Without `smtp_accept_queue_per_connection = 0` all but the first ten messages of a kept connection
would wait for a queue runner; `deliver_drop_privilege` saves it an exec for each delivery.
"""

import shutil

from bench.peers import unpacked
from bench.peers.peer import Peer

_USER = "Debian-exim"  # compiled in
_PACKAGES = (
    *("exim4-daemon-light", "exim4-base", "libdb5.3", "libevent-2.1-7", "libgnutls-dane0"),
    *("libidn12", "libnsl2", "libpcre2-8-0", "libunbound8"),
)
_CONFIGURATION = """\
primary_hostname = relay.{domain}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
pid_file_path = {folder}/spool/pid
smtp_accept_max = 200
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
deliver_drop_privilege = true
tls_advertise_hosts =
acl_smtp_connect = from_here
acl_smtp_rcpt = take
begin acl
from_here:
  accept control = dkim_disable_verify
take:
  accept
begin routers
all:
  driver = manualroute
  transport = sink
  route_list = * 127.0.0.1::{sink}
  self = send
begin transports
sink:
  driver = smtp
  allow_localhost
  dkim_domain = {domain}
  dkim_selector = {selector}
  dkim_private_key = {key}
  dkim_canon = relaxed
begin retry
* * F,1d,1m
"""


class Exim(Peer):
    """Exim with its own DKIM."""

    name = "exim"
    title = "Exim"
    about_per_second = 180.0

    def install(self) -> str:
        """See Peer."""
        self._layer = unpacked.unpack(self.name, _PACKAGES)
        unpacked.add_users(self._layer, {_USER: 699})
        return f"Exim {unpacked.version(self._layer, 'exim4-daemon-light')}"

    def configure(self) -> None:
        """See Peer."""
        self._configuration = self.write("exim.conf", _CONFIGURATION)
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, 699, 699)

    async def start(self) -> None:
        """See System."""
        # In the foreground, with a queue run every five seconds.
        command = ["/usr/sbin/exim4", "-C", str(self._configuration), "-bdf", "-q5s"]
        entered = unpacked.inside(self._layer, command)
        await self.launch("exim", entered, self.listens, inner=True)
