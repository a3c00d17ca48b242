"""Postfix as a relay, with OpenDKIM as the milter that signs.

Installed by apt where that is possible, and then run from a folder of our own by configuration
files of our own: /etc/postfix is not read, and no service is started. Both have Debian's settings,
except those that make it a relay; no chroot, and logs in a file; a transaction for each
recipient, as a relay needs that gives each a return path of its own.
"""

import shutil
import subprocess

from bench.children import answer
from bench.peers.peer import Peer
from bench.peers.unpacked import ask
from bench.systems import NotMeasured

from servers.debian import CannotInstall, install

_PROGRAMS = {"postfix": "postfix", "opendkim": "opendkim"}  # and their packages

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}
myhostname = relay.{domain}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
default_destination_recipient_limit = 1
alias_maps =
alias_database =
relayhost = [127.0.0.1]:{sink}
smtpd_milters = unix:{folder}/milter/socket
milter_default_action = tempfail
"""
_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_OPENDKIM_CONF = """\
Mode s
Domain {domain}
Selector {selector}
KeyFile {key}
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
OversignHeaders From
InternalHosts 127.0.0.1
RequireSafeKeys no
Socket local:{folder}/milter/socket
UMask 000
Syslog yes
Background no
"""


class Postfix(Peer):
    """Postfix and OpenDKIM."""

    name = "postfix"
    title = "Postfix + OpenDKIM"
    about_per_second = 330.0

    def install(self) -> str:
        """See Peer."""
        for program, package in _PROGRAMS.items():
            if shutil.which(program) is None:
                _install(package)
        show = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n"]
        return ", ".join(ask([*show, *_PROGRAMS.values()]).splitlines())

    def configure(self) -> None:
        """See Peer."""
        for name in ("queue", "data", "log"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        self.write("etc/main.cf", _MAIN_CF)
        self.write("etc/master.cf", _MASTER_CF)
        self.write("milter/opendkim.conf", _OPENDKIM_CONF)

    async def start(self) -> None:
        """See System."""
        milter, etc = self.folder / "milter", str(self.folder / "etc")
        (milter / "socket").unlink(missing_ok=True)
        signing = ["opendkim", "-f", "-x", str(milter / "opendkim.conf")]
        await self.launch("opendkim", signing, (milter / "socket").exists)
        await answer(["postfix", "-c", etc, "check"])  # makes the folders of the queue
        # Not by "postfix start", whose processes leave our process tree and would not end with us.
        daemons = (await answer(["postconf", "-c", etc, "-h", "daemon_directory"])).decode().strip()
        await self.launch("postfix", [f"{daemons}/master", "-c", etc, "-s"], self.listens)


def _install(package: str) -> None:
    """Raises NotMeasured."""
    if shutil.which("debconf-set-selections"):
        # The package asks what kind of server to set up in /etc: none.
        choice = "postfix postfix/main_mailer_type select No configuration"
        subprocess.run(["debconf-set-selections"], input=choice, text=True, check=False)
    try:
        install(package, unless=lambda: shutil.which("postfix"))
    except CannotInstall as reason:
        raise NotMeasured(str(reason)) from reason
