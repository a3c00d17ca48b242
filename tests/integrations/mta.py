"""Mail servers of Debian as clients of the relay: unpacked, not installed, and ended with the test.

Each is given its documented settings, and what this machine needs in addition.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.peers.unpacked import inside

from integrations.needed import CLIENTS
from integrations.unpacked import layer_of
from integrations.world import World
from servers.patience import until

# The spool folder that a program has compiled in, and one that this machine may not have.
_SPOOL = """\
mount -t overlay -o lowerdir={layer}/var/spool:/var/spool overlay /var/spool
mount --bind {folder}/spool {spool}"""
_SYSTEMS_OWN = "/etc/ssl/certs/ca-certificates.crt"  # what the system trusts
_ETC = "mount --bind {folder}/etc {etc}"


@dataclass(frozen=True, slots=True)
class Mta:
    """A mail server that uses the relay as its smarthost."""

    world: World
    layer: Path
    sendmail: str  # takes a message for its arguments
    daemon: str  # "": sendmail delivers by itself
    mounts: Sequence[str] = ()
    listening: str = ""  # what is in our folder once the daemon takes messages

    async def send(self, given: bytes, sender: str, options: str = "") -> None:
        """Hand *given* to its sendmail, from *sender*, for our recipient."""
        (self.world.folder / "given.eml").write_bytes(given)
        line = f"{self.sendmail} {options} -f {sender} {self.world.recipient} < given.eml"
        await self.inside(line)

    async def inside(self, line: str) -> str:
        """Run a line of the shell where its files are."""
        return await self.world.succeeds(self._command(f"cd {self.world.folder}; {line}"))

    def log(self) -> str:
        """What it has logged."""
        files = (self.world.folder / "daemon.log", *self.world.folder.glob("log/*"))
        return "\n".join(f"{file.name}: {file.read_text()}" for file in files)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Mta"]:
        """Its daemon runs, if it has one."""
        if not self.daemon:
            yield self
            return
        with (self.world.folder / "daemon.log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command(self.daemon), stdout=log, stderr=log
            )
        try:
            await until((self.world.folder / self.listening).exists)
            yield self
        finally:
            with suppress(ProcessLookupError):
                process.kill()  # the first process of its namespace, and so all of them
            await process.wait()
            print(self.log())  # noqa: T201 -- pytest shows it of a failure

    def _command(self, line: str) -> list[str]:
        return inside(self.layer, ["sh", "-ec", line], first=self.mounts)


Start: TypeAlias = Callable[..., Mta]


def postfix(world: World, *, implicit: bool = False) -> Mta:
    """Its own log, queue and settings are in our folder."""
    packages = ("postfix", "libicu72", "libnsl2", "libdb5.3", "libssl3")
    layer = layer_of(
        "postfix-client",
        (*packages, "libsasl2-2", "libsasl2-modules"),
        {"postfix": 698, "postdrop": 697},
    )
    changes = (("587", "465"),) if implicit else ()
    settings = world.put(CLIENTS / "postfix/main.cf", *changes).read_text()
    password = world.put(CLIENTS / "postfix/relay_password", *changes)
    own = (CLIENTS / "postfix/own.cf").read_text().format(folder=world.folder)
    if implicit:
        own += "smtp_tls_wrappermode = yes\n"
    etc = _folder(world, "etc")
    settings = settings.replace("/etc/postfix/relay_password", str(password))
    (etc / "main.cf").write_text(settings + own)
    shutil.copy(CLIENTS / "postfix/master.cf", etc)
    for name in ("queue", "data", "log"):
        _folder(world, name)
    return Mta(
        world,
        layer,
        sendmail=f"sendmail -C {etc} -oi",
        daemon=f"chown postfix {world.folder}/data; postfix -c {etc} check;"
        f" exec $(postconf -c {etc} -h daemon_directory)/master -c {etc} -s",
        listening="queue/public/pickup",
    )


def exim(world: World, *, implicit: bool = False) -> Mta:
    """It delivers at once, and leaves the rest to the daemon's queue runs."""
    packages = ("exim4-daemon-light", "exim4-base", "libdb5.3", "libevent-2.1-7")
    more = ("libgnutls-dane0", "libidn12", "libnsl2", "libpcre2-8-0", "libunbound8")
    layer = layer_of("exim-client", (*packages, *more), {"Debian-exim": 699})
    changes = [("driver = smtp\n", "driver = smtp\n  allow_localhost\n")]
    changes.append(("route_list", "self = send\n  route_list"))
    if implicit:
        changes += [("587", "465"), ("driver = smtp\n", "driver = smtp\n  protocol = smtps\n")]
    settings = world.put(CLIENTS / "exim/exim.conf", *changes)
    own = f"spool_directory = {world.folder}/spool\nlog_file_path = {world.folder}/log/%slog\n"
    settings.write_text(own + settings.read_text())
    settings.chmod(0o644)
    for name in ("spool", "log"):
        os.chown(_folder(world, name), 699, 699)
    return Mta(
        world,
        layer,
        sendmail=f"exim4 -C {settings} -oi -odf",
        daemon=f"exec exim4 -C {settings} -bdf -q1s -oX 0",
    )


def opensmtpd(world: World, *, implicit: bool = False) -> Mta:
    """Its folders are compiled in."""
    layer = layer_of(
        "opensmtpd-client",
        ("opensmtpd", "libdb5.3", "libevent-2.1-7"),
        {"opensmtpd": 697, "opensmtpq": 698},
    )
    (layer / "etc" / "resolv.conf").write_text("lookup file\n")
    _name(layer)
    control = layer / "usr/sbin/smtpctl"
    os.chown(control, 0, 698)
    control.chmod(0o2755)
    if not control.with_name("sendmail").exists():
        control.with_name("sendmail").symlink_to("smtpctl")
    for name in ("spool/smtpd", "lib/opensmtpd/empty"):
        (layer / "own" / name).mkdir(parents=True, exist_ok=True)
    changes = (("smtp+tls", "smtps"), ("587", "465")) if implicit else ()
    secrets = world.put(CLIENTS / "opensmtpd/secrets")
    own = ("/etc/mail/secrets", str(secrets))
    settings = world.put(CLIENTS / "opensmtpd/smtpd.conf", own, *changes)
    _folder(world, "spool").chmod(0o711)
    _folder(world, "run")
    here = f"mount --bind {world.folder}"
    mounts = (
        f"{here}/spool /mnt",
        f"mount -t overlay -o lowerdir={layer}/own/spool:/var/spool overlay /var/spool",
        f"mount -t overlay -o lowerdir={layer}/own/lib:/var/lib overlay /var/lib",
        "mount --bind /mnt /var/spool/smtpd",
        f"{here}/run /run",
        f"mount --bind {world.certificate} {_SYSTEMS_OWN}",
    )
    return Mta(
        world,
        layer,
        sendmail="sendmail",
        daemon=f"exec smtpd -d -f {settings}",
        mounts=mounts,
        listening="run/smtpd.sock",
    )


def nullmailer(world: World, *, implicit: bool = False) -> Mta:
    """It has folders of its own, compiled in."""
    layer = layer_of("nullmailer", ("nullmailer", "libgnutls30"), {})
    changes = (("587", "465"), ("--starttls", "--ssl")) if implicit else ()
    remotes = world.put(CLIENTS / "nullmailer/remotes", *changes)
    etc, spool = _folder(world, "etc"), _folder(world, "spool")
    remotes.rename(etc / "remotes")
    _name(layer)
    os.mkfifo(spool / "trigger")
    for name in ("queue", "tmp", "failed"):
        _folder(world, f"spool/{name}")
    for path in (spool, *spool.iterdir()):
        shutil.chown(path, "mail", "mail")
    mounts = _mounts(world, layer, "/etc/nullmailer", "/var/spool/nullmailer")
    return Mta(world, layer, "sendmail", "exec nullmailer-send", mounts)


def dma(world: World, *, implicit: bool = False) -> Mta:
    """It delivers at once, in the foreground."""
    layer = layer_of("dma", ("dma", "libssl3"), {})
    changes = (("587", "465"), ("STARTTLS\n", "")) if implicit else ()
    etc, spool = _folder(world, "etc"), _folder(world, "spool")
    world.put(CLIENTS / "dma/dma.conf", *changes).rename(etc / "dma.conf")
    world.put(CLIENTS / "dma/auth.conf").rename(etc / "auth.conf")
    shutil.chown(spool, "root", "mail")
    spool.chmod(0o2775)
    mounts = _mounts(world, layer, "/etc/dma", "/var/spool/dma")
    return Mta(world, layer, "dma -D -i", "", mounts)


def _name(layer: Path) -> None:
    """Give the machine its name in mail, where Debian's programs look for it."""
    (layer / "etc" / "mailname").write_text("example.com\n")


def _mounts(world: World, layer: Path, etc: str, spool: str) -> tuple[str, ...]:
    places = {"layer": layer, "folder": world.folder, "etc": etc, "spool": spool}
    return tuple(text.format(**places) for text in (_ETC, _SPOOL))


def _folder(world: World, name: str) -> Path:
    made = world.folder / name
    made.mkdir()
    return made
