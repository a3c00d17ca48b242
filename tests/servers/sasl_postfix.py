"""Postfix as a smarthost that wants a login.

It takes mail from those who log in, by Cyrus SASL and a file of users, and throws it away.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import sasl_postfix
from bench.peers.peer import answers
from bench.systems import NotMeasured

from servers.missing import missing
from servers.patience import until
from servers.ports import lasting_ports

USER, SECRET = "apikey", "open-sesame-4711"

_MAIN_CF = sasl_postfix.MAIN_CF + "default_transport = discard\n"
_SMTPD = """\
127.0.0.1:{starttls} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{clear} inet n - n - - smtpd -o smtpd_tls_security_level=none
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
async def running_postfix(
    folder: Path, chain: bytes, mechanisms: str
) -> AsyncIterator[SaslPostfix]:
    """It runs, with the certificate *chain* (PEM, with its key); skips where it is not to be had.

    *folder* has to be open to other users.
    """
    if os.geteuid() != 0:
        missing("Postfix with SASL", "only root may run it from unpacked packages")
    try:
        layer = sasl_postfix.layer()
    except NotMeasured as reason:
        missing("Postfix with SASL", str(reason))
    ports = dict(zip(("starttls", "implicit", "clear"), lasting_ports(3), strict=True))
    chain_file = folder / "chain.pem"
    chain_file.write_bytes(chain)
    main = _MAIN_CF.format(folder=folder, chain=chain_file)
    master = _SMTPD.format(**ports) + sasl_postfix.MASTER_CF
    sasl_postfix.prepare(folder, main, master, mechanisms)
    log = folder / "log" / "maillog"
    command = sasl_postfix.command(layer, folder, USER, SECRET)
    with (folder / "output").open("w") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        await until(lambda: all(map(answers, ports.values())))
        yield SaslPostfix(**ports, log=log)
    finally:
        process.kill()  # the first process of its namespace, and so all of them
        await process.wait()
