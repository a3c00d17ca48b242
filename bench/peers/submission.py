"""Peers that take submissions, with AUTH PLAIN, in clear and with STARTTLS, and pass nothing on."""

import secrets
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.accounting import Account, open_account
from bench.chain import write_chain
from bench.children import PYTHON, Child, stop_all
from bench.load_session import Door, any_certificate
from bench.peers import sasl_postfix
from bench.peers.peer import answers
from bench.peers.unpacked import version as version_of
from bench.systems import fresh_folder

from servers.ports import lasting_ports

CLEAR, STARTTLS = "clear", "starttls"  # names of doors
_SMTPD = "127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_security_level={level}\n"
# Into the queue "hold": nothing looks at it there. The 250 is for mail that is on the disk.
_HOLD = "smtpd_sender_restrictions = check_sender_access static:HOLD\n"


class Submission:
    """Another project's server of submission; see `bench.accepting.Acceptor`."""

    name: str
    title: str

    def __init__(self, folder: Path) -> None:
        self.folder = fresh_folder(folder, self.name)
        self.folder.chmod(0o755)  # some servers are not root
        self.clear, self.starttls = lasting_ports(2)
        self.user, self.secret = "bench", secrets.token_hex(16)
        login = ("127.0.0.1", self.clear, self.user, self.secret)
        self.doors: Mapping[str, Door] = {
            CLEAR: Door(*login),
            STARTTLS: Door("127.0.0.1", self.starttls, *login[2:], any_certificate()),
        }
        self.version = ""
        self.account = open_account(self.name)
        self.accounts: tuple[Account, ...] = (self.account,)
        self._children: list[Child] = []

    async def launch(self, command: list[str], *, inner: bool = False) -> None:
        """Start *command*, and wait until it answers. Raises ProgramFailed."""
        log = self.folder / f"{self.name}.log"
        self._children.append(await Child.start(command, log, self.account, inner=inner))
        for port in (self.clear, self.starttls):
            await self._children[-1].until(partial(answers, port))

    async def stop(self) -> None:
        """See `bench.accepting.Acceptor`."""
        await stop_all(self._children)
        self.account.end()


class Aiosmtpd(Submission):
    """aiosmtpd, which keeps nothing of what it takes."""

    name = "aiosmtpd"
    title = "aiosmtpd, keeps nothing"
    keeps = False

    async def prepare(self) -> None:
        """See `bench.accepting.Acceptor`."""
        self.version = f"aiosmtpd {version('aiosmtpd')}"

    async def start(self) -> None:
        """See `bench.accepting.Acceptor`."""
        command = [
            *(PYTHON, "-m", "bench.peers.aiosmtpd_server"),
            *("--clear", str(self.clear), "--starttls", str(self.starttls)),
            *("--auth", f"{self.user}:{self.secret}"),
            *("--chain", str(write_chain(self.folder))),
        ]
        if self.keeps:
            (self.folder / "kept").mkdir()
            command += ["--folder", str(self.folder / "kept")]
        await self.launch(command)


class KeepingAiosmtpd(Aiosmtpd):
    """aiosmtpd, with a file for each message, flushed to the disk before the 250."""

    name = "aiosmtpd-files"
    title = "aiosmtpd, a file each"
    keeps = True


class HoldingPostfix(Submission):
    """Postfix, which keeps what it takes in its queue "hold"."""

    name = "postfix"
    title = "Postfix, holds"

    async def prepare(self) -> None:
        """See `bench.accepting.Acceptor`."""
        self._layer = sasl_postfix.layer()
        packages = {"Postfix": "postfix", "Cyrus SASL": "libsasl2-2"}
        versions = (f"{name} {version_of(self._layer, of)}" for name, of in packages.items())
        self.version = ", ".join(versions)
        chain = write_chain(self.folder)
        ports = ((self.clear, "none"), (self.starttls, "encrypt"))
        smtpd = "".join(_SMTPD.format(port=port, level=level) for port, level in ports)
        main = sasl_postfix.MAIN_CF.format(folder=self.folder, chain=chain) + _HOLD
        sasl_postfix.prepare(self.folder, main, smtpd + sasl_postfix.MASTER_CF)

    async def start(self) -> None:
        """See `bench.accepting.Acceptor`."""
        command = sasl_postfix.command(self._layer, self.folder, self.user, self.secret)
        await self.launch(command, inner=True)
