"""Postfix with Cyrus SASL and a file of users: Debian's packages, unpacked and not installed.

Each user makes of it what it needs: `MAIN_CF` and `MASTER_CF` go on with its own lines.
"""

from pathlib import Path

from bench.peers.unpacked import add_users, ask, inside, unpack

_PACKAGES = (
    *("postfix", "libicu72", "libnsl2", "libdb5.3", "libssl3"),
    *("sasl2-bin", "libsasl2-2", "libsasl2-modules", "libsasl2-modules-db"),
)
_USERS = {"postfix": 698, "postdrop": 697}
MAIN_CF = """\
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
smtpd_tls_chain_files = {chain}
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = relay.example
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""
MASTER_CF = """\
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


def layer() -> Path:
    """Where it is unpacked, to be entered. Raises NotMeasured."""
    unpacked = unpack("postfix-sasl", _PACKAGES)
    add_users(unpacked, _USERS)
    ask(inside(unpacked, ["postconf", "-d", "mail_version"]))
    return unpacked


def prepare(folder: Path, main: str, master: str, mechanisms: str = "PLAIN") -> None:
    """Write the configuration; *folder* has to be open to other users."""
    for name in ("etc", "etc/sasl", "queue", "data", "log"):
        (folder / name).mkdir()
    sasl = _SASL_CONF.format(folder=folder, mechanisms=mechanisms)
    for name, text in (("main.cf", main), ("master.cf", master), ("sasl/smtpd.conf", sasl)):
        (folder / "etc" / name).write_text(text)


def command(unpacked: Path, folder: Path, user: str, secret: str) -> list[str]:
    """What runs it: the only child of a command that ignores SIGTERM."""
    start = _START.format(folder=folder, user=user, secret=secret)
    return inside(unpacked, ["sh", "-ec", start])
