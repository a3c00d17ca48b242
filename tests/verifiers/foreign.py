"""What programs of others say about messages: opendkim-testmsg, Perl's Mail::DKIM, dkimpy.

And Perl's Mail::SPF, which computes SPF. All of them ask one name server of the tests for keys and
records.
"""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from os import environ, geteuid
from pathlib import Path

import dkim
import dns.exception
import dns.resolver

from posthouse.mail.dkim_key import zone_text
from servers.debian import CannotInstall, has_perl_module, install
from servers.dns_stub import DnsStub, dns_stub
from servers.missing import missing

PASS = "pass"
# What a verifier of its Debian version does not know yet.
UNKNOWN = "invalid (unsupported algorithm ed25519-sha256)"

_SIGNATURE = re.compile(
    rb"^DKIM-Signature:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE
)
_TAG = re.compile(rb"\b([ad])=([^;\s]+)")
_PORT = 53  # the only one that the C library asks
_MODULES = {"Mail::DKIM::Verifier": "libmail-dkim-perl", "Mail::SPF": "libmail-spf-perl"}
_SCRIPT = Path(__file__).with_name("receiver.pl")
# Each file of the list, with a resolv.conf that only these processes see.
_OPENDKIM = """\
mount --bind "$0" /etc/resolv.conf
while read -r file; do
    if said=$(opendkim-testmsg < "$file" 2>&1); then echo pass; else echo "fail $said" | tail -1; fi
done
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as a receiver gets it: with what its connection tells."""

    content: bytes
    sender: str  # of the envelope
    client: str = "127.0.0.1"
    helo: str = "relay.example"


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature of a message, and what each verifier says about it."""

    domain: str
    algorithm: str
    said: Mapping[str, str]  # by the name of the verifier

    @property
    def passes(self) -> bool:
        """Whether every verifier says so that knows the algorithm; at least two do."""
        said = [result for result in self.said.values() if result != UNKNOWN]
        return len(said) > 1 and all(result == PASS for result in said)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a receiver finds out about a message."""

    spf: str  # the result (RFC 7208 section 2.6)
    signatures: tuple[Signed, ...]  # from the top


@dataclass(frozen=True, slots=True)
class Receiver:
    """Asks all verifiers, one process of each for a batch."""

    folder: Path  # for messages
    nameserver: str

    async def judge(self, batch: Sequence[Delivered]) -> list[Judged]:
        """What is found out about each."""
        signatures = [_signatures(one.content) for one in batch]
        perl, opendkim, python = await asyncio.gather(
            self._perl(batch),
            self._opendkim([one.content for one in batch]),
            asyncio.to_thread(self._dkimpy, [one.content for one in batch]),
        )
        judged = []
        for fields, (spf, by_perl) in zip(signatures, perl, strict=True):
            assert len(by_perl) == len(fields)
            said = [
                {"Mail::DKIM": one, "opendkim": opendkim.pop(0), "dkimpy": python.pop(0)}
                for one in by_perl
            ]
            judged.append(Judged(spf, tuple(map(_signed, fields, said))))
        return judged

    async def _perl(self, batch: Sequence[Delivered]) -> list[tuple[str, list[str]]]:
        lines = [
            "\t".join(
                (str(self._file(f"{number}.eml", one.content)), one.client, one.helo, one.sender)
            )
            for number, one in enumerate(batch)
        ]
        said = await _answers(["perl", str(_SCRIPT), self.nameserver, str(_PORT)], lines)
        return [(found["spf"], found["dkim"]) for found in map(json.loads, said)]

    async def _opendkim(self, messages: Sequence[bytes]) -> list[str]:
        """Of each signature of each message: each is asked about alone, as it says one thing."""
        alone = [
            self._file(f"{number}-{place}.eml", _only(content, place))
            for number, content in enumerate(messages)
            for place in range(len(_signatures(content)))
        ]
        resolv = self._file("resolv.conf", f"nameserver {self.nameserver}\n".encode())
        command = ["unshare", "--mount", "sh", "-ec", _OPENDKIM, str(resolv)]
        return await _answers(command, list(map(str, alone)))

    def _dkimpy(self, messages: Sequence[bytes]) -> list[str]:
        """Of each signature of each message."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [self.nameserver], _PORT

        def txt(name: bytes, timeout: int = 5) -> bytes | None:
            try:
                (record,) = resolver.resolve(name.decode(), "TXT", lifetime=timeout)
            except dns.exception.DNSException:
                return None
            return b"".join(record.strings)

        return [
            _dkimpy_says(content, place, txt)
            for content in messages
            for place in range(len(_signatures(content)))
        ]

    def _file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


def _signatures(content: bytes) -> list[bytes]:
    return _SIGNATURE.findall(content.partition(b"\r\n\r\n")[0] + b"\r\n")


def _only(content: bytes, place: int) -> bytes:
    """*content* without all signatures but one."""
    fields = _signatures(content)
    for field in fields[:place] + fields[place + 1 :]:
        content = content.replace(field, b"", 1)
    return content


def _signed(field: bytes, said: Mapping[str, str]) -> Signed:
    tags = dict(_TAG.findall(field))
    return Signed(tags[b"d"].decode(), tags[b"a"].decode(), said)


def _dkimpy_says(content: bytes, place: int, txt: object) -> str:
    try:
        return PASS if dkim.DKIM(content).verify(idx=place, dnsfunc=txt) else "fail"
    except dkim.DKIMException as error:
        return f"fail ({error})"


async def _answers(command: Sequence[str], lines: Sequence[str]) -> list[str]:
    """What *command* says about each of *lines*."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, wrong = await process.communicate("".join(f"{line}\n" for line in lines).encode())
    answers = said.decode().splitlines()
    assert 0 == process.returncode, wrong.decode()
    assert len(answers) == len(lines), wrong.decode()
    return answers


def need_programs() -> None:
    """Install what is missing; skips what calls it where that cannot be done."""
    if geteuid() != 0:
        missing("a name server at port 53, which OpenDKIM asks", "only root may open it")
    try:
        install("opendkim-tools", unless=lambda: shutil.which("opendkim-testmsg"))
        for module, package in _MODULES.items():
            install(package, unless=partial(has_perl_module, module))
    except CannotInstall as reason:
        missing("OpenDKIM, Mail::DKIM or Mail::SPF", str(reason))


@asynccontextmanager
async def receiver(
    folder: Path, records: Sequence[Mapping[str, str]], hosts: Mapping[str, str]
) -> AsyncIterator[Receiver]:
    """Verifiers that ask a name server with *records*, as `posthouse domain add` prints them.

    *hosts* are addresses by name.
    """
    zone = {(host, "A"): (address,) for host, address in hosts.items()}
    for record in records:
        value = zone_text(record["value"]) if record["type"] == "TXT" else record["value"]
        zone[record["name"], record["type"]] = (value,)
    async with dns_stub(DnsStub(zone), _PORT, _own_address()) as stub:
        yield Receiver(folder, stub.address.partition(":")[0])


def _own_address() -> str:
    """A loopback address for the name server of this process of a test run."""
    return f"127.53.0.{1 + int(environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))}"
