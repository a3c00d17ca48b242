"""The common part of all peers: a folder, a port, a signing key, and their own processes."""

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.accounting import open_account
from bench.children import Child, stop_all
from bench.load_session import Door
from bench.systems import DOMAIN, NotMeasured, fresh_folder
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from servers.ports import lasting_ports

SELECTOR = "bench"


class Peer(ABC):
    """Another project's relay, run from our folder with our configuration; see System."""

    name: str
    title: str
    about_per_second: float

    def __init__(self, folder: Path, sink_port: int) -> None:
        self.folder = fresh_folder(folder, self.name)
        (port,) = lasting_ports(1)
        self.door = Door("127.0.0.1", port)
        self.key = self.folder / "key.pem"
        self.values = {  # placeholders in the texts of configuration
            "folder": str(self.folder),
            "key": str(self.key),
            "domain": DOMAIN,
            "selector": SELECTOR,
            "port": str(port),
            "sink": str(sink_port),
        }
        self.dkim_record = b""
        self.version = ""
        self.account = open_account(self.name)
        self._children: list[Child] = []

    async def prepare(self) -> None:
        """See System."""
        if os.geteuid() != 0:
            raise NotMeasured(f"{self.title} is run for root only")
        self.version = await asyncio.to_thread(self.install)
        self._make_key()
        self.configure()

    @abstractmethod
    def install(self) -> str:
        """Install what is missing; the versions of the programs. Raises NotMeasured."""

    @abstractmethod
    def configure(self) -> None:
        """Make folders and files of configuration; the key exists already."""

    @abstractmethod
    async def start(self) -> None:
        """See System."""

    async def stop(self) -> None:
        """See System. All of its processes have ended afterwards."""
        await stop_all(self._children)
        self.account.end()

    async def launch(
        self, program: str, command: Sequence[str], up: Callable[[], bool], *, inner: bool = False
    ) -> None:
        """Start *command* and wait until it is *up*. Raises ProgramFailed."""
        log = self.folder / f"{program}.log"
        child = await Child.start(command, log, self.account, inner=inner)
        self._children.append(child)
        await child.until(up)

    def listens(self) -> bool:
        """Whether its SMTP port answers."""
        return answers(self.door.port)

    def write(self, name: str, text: str) -> Path:
        """Make a file in the folder from *text*, with its {placeholders} filled in."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**self.values))
        return path

    def _make_key(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        self.key.chmod(0o644)  # it protects nothing, and some servers read it as another user
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.dkim_record = b"v=DKIM1; k=rsa; p=" + b64encode(public)


def answers(port: int) -> bool:
    """Whether somebody listens at *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
