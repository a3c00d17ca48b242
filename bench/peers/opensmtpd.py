"""OpenSMTPD with filter-dkimsign, and higher limits than its defaults.

By default it ends a session after 100 messages, and opens one connection to a host every five
seconds, for a hundred messages each: some fifteen messages a second. These limits are its highest.
It does not flush its queue to disk: an accepted message may not survive a power cut. It offers
no PIPELINING, and Nagle's algorithm delays the final dot of each message by 40 ms.
"""

from bench.peers import unpacked
from bench.peers.peer import Peer

_USERS = {"opensmtpd": 697, "opensmtpq": 698}  # compiled in
_PACKAGES = (
    *("opensmtpd", "opensmtpd-filter-dkimsign", "libopensmtpd0", "libdb5.3", "libevent-2.1-7"),
)
_CONFIGURATION = """\
smtp limit max-mails 1000000
mta limit max-conn-per-host 20
mta limit max-conn-per-route 20
mta limit reconn-delay-route 0
mta limit conn-delay-route 0
mta limit conn-delay-relay 0
mta limit session-mail-max 100000
mta limit task-hiwat 100000
mta limit task-lowat 50000
filter sign proc-exec "filter-dkimsign -c relaxed/relaxed -d {domain} -s {selector} -k {key}"
listen on 127.0.0.1 port {port} hostname relay.{domain} filter sign
action out relay host smtp://127.0.0.1:{sink}
match from any for any action out
"""
# Its folders are compiled in. The queue must be with the data, the rest may be temporary.
_FIRST = """\
mount --bind {folder}/spool /mnt
mount -t overlay -o lowerdir={layer}/own/spool:/var/spool overlay /var/spool
mount -t overlay -o lowerdir={layer}/own/lib:/var/lib overlay /var/lib
mount --bind /mnt /var/spool/smtpd
mount -t tmpfs tmpfs /run"""


class OpenSmtpd(Peer):
    """OpenSMTPD and filter-dkimsign."""

    name = "opensmtpd"
    title = "OpenSMTPD + filter-dkimsign"
    about_per_second = 100.0

    def install(self) -> str:
        """See Peer."""
        self._layer = unpacked.unpack(self.name, _PACKAGES)
        unpacked.add_users(self._layer, _USERS)
        # It looks up the name of each client, by default at a name server before /etc/hosts.
        (self._layer / "etc" / "resolv.conf").write_text("lookup file\n")
        for name in ("spool/smtpd", "lib/opensmtpd/empty"):
            (self._layer / "own" / name).mkdir(parents=True, exist_ok=True)
        return ", ".join(
            f"{name} {unpacked.version(self._layer, package)}"
            for name, package in (
                ("OpenSMTPD", "opensmtpd"),
                ("filter-dkimsign", "opensmtpd-filter-dkimsign"),
            )
        )

    def configure(self) -> None:
        """See Peer."""
        self._configuration = self.write("smtpd.conf", _CONFIGURATION)
        self._configuration.chmod(0o644)
        (self.folder / "spool").mkdir(mode=0o711)

    async def start(self) -> None:
        """See System."""
        first = _FIRST.format(folder=self.folder, layer=self._layer)
        command = ["/usr/sbin/smtpd", "-d", "-f", str(self._configuration)]
        entered = unpacked.inside(self._layer, command, first=[first])
        await self.launch("smtpd", entered, self.listens, inner=True)
