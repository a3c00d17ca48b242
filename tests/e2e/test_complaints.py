"""A complaint through a whole relay: from the message that left to the next one that does not."""

import asyncio
from email import message_from_bytes
from pathlib import Path

import aiosmtplib

from servers.mx import mx
from servers.returned_mail import feedback_report
from servers.whole_relay import ANY, Operator, running


async def _complain(bounces: dict[str, object], header: str, to: str) -> None:
    await aiosmtplib.send(
        feedback_report(header),
        sender="fbl@dest.example",
        recipients=[to],
        hostname=str(bounces["host"]),
        port=int(str(bounces["port"])),
        start_tls=False,
    )


async def test_whoever_complains_gets_no_more_mail_until_the_operator_says_so(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o711)  # noqa: ASYNC240 -- once
    async with mx() as server:
        arguments = (
            *("up", "--data", str(tmp_path / "data"), "--listen", f"{ANY}/none"),
            *(
                "--route",
                f"127.0.0.1:{server.port}",
                "--bounce-listen",
                ANY,
                "--health-listen",
                ANY,
            ),
            *("--tracking-listen", ANY, "--console-listen", ANY),
        )
        with running(*arguments, POSTHOUSE_HOSTNAME="relay.example") as ready:
            operator = await asyncio.to_thread(
                Operator, tmp_path / "data", ready["submission"][0]["port"]
            )

            async def story() -> str:
                return await asyncio.to_thread(operator.story_of_mail_to, "ann@dest.example")

            assert "  delivered  " in await story()
            (sent,) = server.messages
            header = f"X-Posthouse-Id: {message_from_bytes(sent)['X-Posthouse-Id']}\n"

            forged = header.replace(header[30], "-" if header[30] != "-" else "_")
            await _complain(ready["bounces"], forged, "abuse@relay.example")
            assert "  delivered  " in await story()

            await _complain(ready["bounces"], header, "abuse@relay.example")
            last = await story()
            assert "suppressed ann@dest.example: on the complaint list since " in last

            await asyncio.to_thread(operator, "suppression", "remove", "ann@dest.example")
            await _complain(ready["bounces"], header, "postmaster@relay.example")  # the same again
            assert "  delivered  " in await story()
