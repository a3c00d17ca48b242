"""A server that answers one command as the relay does when it cannot, or will not."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ingest.core.login_replies import AUTH_FAILED, AUTH_UNAVAILABLE
from ingest.core.refusals import FAULT, FULL
from integrations.world import World
from posthouse.mail.reply import Reply
from servers.mx import Manners, Peer, mx

# The reply, and what it answers: a command, the "greeting" or the "message".
ANSWERS = {
    "421": (
        Reply(421, "Too many connections: 2000 are open, which is the most", "4.7.0"),
        "greeting",
    ),
    "454": (AUTH_UNAVAILABLE, "AUTH"),
    "535": (AUTH_FAILED, "AUTH"),
    "452": (FULL, "MAIL"),
    "451": (FAULT, "message"),
    "550": (
        Reply(
            550,
            "From domain else.example is not one of this account's verified domains: example.com",
            "5.7.1",
        ),
        "message",
    ),
}


@asynccontextmanager
async def refusing(world: World, code: str) -> AsyncIterator[World]:
    """*world*, whose port with STARTTLS leads to a server that gives that answer."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    data = world.relay.environ["POSTHOUSE_DATA"]
    tls.load_cert_chain(f"{data}/tls.crt", f"{data}/tls.key")
    async with mx(_manners(tls, *ANSWERS[code])) as server:
        yield replace(world, ports={**world.ports, "starttls_required": server.port})


def _manners(tls: ssl.SSLContext, reply: Reply, to: str) -> Manners:
    said = f"{reply.code} {reply.enhanced} {reply.text}"

    async def answer(peer: Peer, command: str, usual: str) -> bool:
        """Whether the usual was said."""
        await peer.say(said if command == to else usual)
        return command != to

    async def manners(peer: Peer) -> None:
        if not await answer(peer, "greeting", "220 relay.example ESMTP"):
            return
        while line := await peer.hear():
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                await peer.hello("STARTTLS", "AUTH PLAIN LOGIN")
            elif verb == "STARTTLS":
                await peer.say("220 2.0.0 Ready to start TLS")
                await peer.writer.start_tls(tls)
            elif verb == "AUTH":
                await _hear_login(peer, line)
                await answer(peer, "AUTH", "235 2.7.0 Authentication successful")
            elif verb == "DATA":
                await peer.say("354 End data with <CR><LF>.<CR><LF>")
                await peer.take_content()
                await answer(peer, "message", "250 2.0.0 Ok")
            elif verb == "QUIT":
                await peer.say("221 2.0.0 Goodbye")
                return
            else:
                await answer(peer, verb, "250 2.0.0 Ok")

    return manners


async def _hear_login(peer: Peer, line: str) -> None:
    """What belongs to AUTH, up to its end."""
    if line.upper().startswith("AUTH LOGIN"):
        if len(line.split(" ")) == 2:
            await peer.say("334 VXNlcm5hbWU6")
            await peer.hear()
        await peer.say("334 UGFzc3dvcmQ6")
        await peer.hear()
    elif len(line.split(" ")) == 2:
        await peer.say("334 ")
        await peer.hear()
