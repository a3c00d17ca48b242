"""Postfix as a smarthost that wants a login: Debian's packages, unpacked and not installed.

It takes mail from those who log in, by Cyrus SASL and a file of users, and throws it away.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers.unpacked import add_users, ask, inside, unpack
from bench.systems import NotMeasured

from servers.missing import missing
from servers.patience import until
from servers.ports import lasting_ports

USER, SECRET = "apikey", "open-sesame-4711"

_PACKAGES = (
    *("postfix", "libicu72", "libnsl2", "libdb5.3", "libssl3"),
    *("sasl2-bin", "libsasl2-2", "libsasl2-modules", "libsasl2-modules-db"),
)
_USERS = {"postfix": 698, "postdrop": 697}
_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/maillog
maillog_file_prefixes = {folder}
myhostname = relay.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
default_transport = discard
smtpd_tls_chain_files = {folder}/chain.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = relay.example
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""
_MASTER_CF = """\
127.0.0.1:{starttls} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{clear} inet n - n - - smtpd -o smtpd_tls_security_level=none
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_SASL_CONF = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/sasldb2
mech_list: {mechanisms}
"""
_START = """\
printf %s {secret} | saslpasswd2 -p -c -u relay.example -f {folder}/sasldb2 {user}
chown postfix {folder}/sasldb2 {folder}/data
postfix -c {folder}/etc check
exec $(postconf -c {folder}/etc -h daemon_directory)/master -c {folder}/etc -s
"""


@dataclass(frozen=True, slots=True)
class SaslPostfix:
    """Its ports, and what it has logged."""

    starttls: int
    implicit: int
    clear: int
    log: Path

    def taken(self) -> int:
        """How many messages it took from somebody who was logged in."""
        return self.log.read_text().count(f"sasl_username={USER}")


@asynccontextmanager
async def sasl_postfix(folder: Path, chain: bytes, mechanisms: str) -> AsyncIterator[SaslPostfix]:
    """It runs, with the certificate *chain* (PEM, with its key); skips where it is not to be had.

    *folder* has to be open to other users.
    """
    if os.geteuid() != 0:
        missing("Postfix with SASL", "only root may run it from unpacked packages")
    try:
        layer = unpack("postfix-sasl", _PACKAGES)
        add_users(layer, _USERS)
        ask(inside(layer, ["postconf", "-d", "mail_version"]))
    except NotMeasured as reason:
        missing("Postfix with SASL", str(reason))
    ports = dict(zip(("starttls", "implicit", "clear"), lasting_ports(3), strict=True))
    values = {"folder": str(folder), "user": USER, "secret": SECRET, "mechanisms": mechanisms}
    for name in ("etc", "etc/sasl", "queue", "data", "log"):
        (folder / name).mkdir()
    (folder / "chain.pem").write_bytes(chain)
    texts = {
        "etc/main.cf": _MAIN_CF,
        "etc/master.cf": _MASTER_CF,
        "etc/sasl/smtpd.conf": _SASL_CONF,
    }
    for name, text in texts.items():
        (folder / name).write_text(text.format(**values, **ports))
    log = folder / "log" / "maillog"
    command = inside(layer, ["sh", "-ec", _START.format(**values)])
    with (folder / "output").open("w") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        await until(lambda: all(map(_listens, ports.values())))
        yield SaslPostfix(**ports, log=log)
    finally:
        process.kill()  # the first process of its namespace, and so all of them
        await process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
