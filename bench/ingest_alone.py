"""Ingest, PostgreSQL and RabbitMQ: mail is accepted, and nobody delivers it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.accounting import Account, open_account
from bench.chain import write_chain
from bench.load_session import Door, any_certificate
from bench.peers.submission import CLEAR, STARTTLS
from bench.split import Split

from servers.ports import lasting_ports

HTTP, HTTPS = "http", "https"  # more names of doors
_MODES = {CLEAR: "none", STARTTLS: "starttls_required", HTTP: "http", HTTPS: "https"}


class IngestAlone(Split):
    """See `bench.accepting.Acceptor`."""

    name = "posthouse"
    title = "Posthouse"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, sink_port=0)
        self.account = open_account("ingest")
        self.accounts: tuple[Account, ...] = (self.account, self._backing)
        self._services = ["ingest"]
        self._ports = dict(zip(_MODES, (self._port, *lasting_ports(len(_MODES) - 1)), strict=True))
        listeners = (f"127.0.0.1:{self._ports[name]}/{mode}" for name, mode in _MODES.items())
        self.environ["POSTHOUSE_INGEST_LISTENERS"] = ",".join(listeners)
        self.environ["POSTHOUSE_INGEST_TLS_CERTIFICATE"] = str(write_chain(self._folder))

    @property
    def doors(self) -> Mapping[str, Door]:
        """See `bench.accepting.Acceptor`."""
        tls = any_certificate()
        return {
            name: replace(self.door, port=port, tls=tls if name in (STARTTLS, HTTPS) else None)
            for name, port in self._ports.items()
        }
