"""Postfix as a relay, with OpenDKIM as the milter that signs.

Installed by apt where that is possible, and then run from a folder of our own by configuration
files of our own: /etc/postfix is not read, and no service of the system is started. As Debian has
both, but for what makes it a relay; no chroot, and logs in a file.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from bench.accounting import open_account
from bench.children import Child, ProgramFailed, answer, stop_all
from bench.load_session import Door
from bench.systems import DOMAIN, NotMeasured, fresh_folder
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from chaos.ports import lasting_ports
from servers.debian import CannotInstall, install

_PROGRAMS = {"postfix": "postfix", "opendkim": "opendkim"}  # and their packages
_UP_SECONDS = 20.0

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
Selector bench
KeyFile {folder}/milter/key.pem
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


class Postfix:
    """Postfix and OpenDKIM."""

    name = "postfix"
    title = "Postfix + OpenDKIM"

    def __init__(self, folder: Path, sink_port: int) -> None:
        self._folder = fresh_folder(folder, self.name)
        (port,) = lasting_ports(1)
        self.door = Door("127.0.0.1", port)
        self._values = {
            "folder": str(self._folder),
            "domain": DOMAIN,
            "port": str(port),
            "sink": str(sink_port),
        }
        self._children: list[Child] = []
        self.dkim_record = b""
        self.account = open_account(self.name)

    async def prepare(self) -> None:
        """See System."""
        if os.geteuid() != 0:
            raise NotMeasured("Postfix runs for root only")
        for program, package in _PROGRAMS.items():
            if shutil.which(program) is None:
                await asyncio.to_thread(_install, package)
        self._configure()

    async def start(self) -> None:
        """See System."""
        milter, etc = self._folder / "milter", str(self._folder / "etc")
        (milter / "socket").unlink(missing_ok=True)
        signing = ["opendkim", "-f", "-x", str(milter / "opendkim.conf")]
        opendkim = await Child.start(signing, self._folder / "opendkim.log", self.account)
        self._children.append(opendkim)
        await _until((milter / "socket").exists, opendkim)
        await answer(["postfix", "-c", etc, "check"])  # makes the folders of the queue
        # Not by "postfix start", which leaves our process tree and would outlive us.
        daemons = (await answer(["postconf", "-c", etc, "-h", "daemon_directory"])).decode().strip()
        relaying = [f"{daemons}/master", "-c", etc, "-s"]
        postfix = await Child.start(relaying, self._folder / "postfix.log", self.account)
        self._children.append(postfix)
        await _until(self._listens, postfix)

    async def stop(self) -> None:
        """See System."""
        await stop_all(self._children)

    def _configure(self) -> None:
        for name in ("etc", "queue", "data", "log", "milter"):
            (self._folder / name).mkdir(exist_ok=True)
        shutil.chown(self._folder / "data", "postfix")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self._folder / "milter" / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.dkim_record = b"v=DKIM1; k=rsa; p=" + b64encode(public)
        for name, text in (
            ("etc/main.cf", _MAIN_CF),
            ("etc/master.cf", _MASTER_CF),
            ("milter/opendkim.conf", _OPENDKIM_CONF),
        ):
            (self._folder / name).write_text(text.format(**self._values))

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.door.host, self.door.port), timeout=1).close()
        except OSError:
            return False
        return True


async def _until(true: Callable[[], bool], child: Child) -> None:
    """Wait for what *child* brings about. Raises ProgramFailed."""
    end = time.monotonic() + _UP_SECONDS
    while not true():
        if not child.running or time.monotonic() > end:
            raise ProgramFailed(child.said())
        await asyncio.sleep(0.05)


def _install(package: str) -> None:
    """Raises NotMeasured."""
    if shutil.which("debconf-set-selections"):
        # Postfix asks what kind of server to set up in /etc: none.
        choice = "postfix postfix/main_mailer_type select No configuration"
        subprocess.run(["debconf-set-selections"], input=choice, text=True, check=False)
    try:
        install(package)
    except CannotInstall as reason:
        raise NotMeasured(str(reason)) from reason
