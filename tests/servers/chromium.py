"""Debian's Chromium, driven over its own protocol by pipes: no driver of others is needed."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from servers.debian import CannotInstall, install
from servers.missing import missing

_SECONDS = 60.0
_LIMIT = 1 << 26  # octets of an answer
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " ")}


def chromium() -> str:
    """The program; installs it where it can, and else skips the test."""
    try:
        install("chromium", unless=lambda: shutil.which("chromium"))
    except CannotInstall as error:
        missing("Chromium", str(error))
    return "chromium"


class Tab:
    """One page of a browser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)
        self._session: dict[str, str] = {}
        self._events: list[str] = []

    async def open(self) -> None:
        """Make the page."""
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = {"sessionId": attached["sessionId"]}
        for part in ("Page", "Runtime", "Network", "Accessibility"):
            await self.ask(f"{part}.enable")

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": parameters, **self._session}
        self._writer.write(json.dumps(asked).encode() + b"\0")
        async with asyncio.timeout(_SECONDS):
            while (said := await self._said()).get("id") != number:
                pass
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads((await self._reader.readuntil(b"\0"))[:-1])
        if "method" in said:
            self._events.append(said["method"])
        return said

    async def loaded(self) -> None:
        """Wait until the page is there that was begun since."""
        async with asyncio.timeout(_SECONDS):
            while "Page.loadEventFired" not in self._events:
                await self._said()

    async def visit(self, url: str, languages: str = "en") -> None:
        """Go to *url* as a reader of these languages."""
        await self.ask("Network.setExtraHTTPHeaders", headers={"Accept-Language": languages})
        self._events.clear()
        await self.ask("Page.navigate", url=url)
        await self.loaded()

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code, text = _KEYS[key]
            about = {"key": key, "windowsVirtualKeyCode": code}
            kind = "keyDown" if text else "rawKeyDown"
            typed = {"text": text} if text else {}
            await self.ask("Input.dispatchKeyEvent", type=kind, **about, **typed)
            await self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    async def submit_by_enter(self) -> None:
        """Press the button that has the focus."""
        self._events.clear()
        await self.press("Enter")
        await self.loaded()

    async def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript, which may be a promise."""
        found = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")


@asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """A browser with one page."""
    program = chromium()
    to_read, to_write = os.pipe(), os.pipe()  # of the browser
    with TemporaryDirectory(prefix="posthouse-chromium-", ignore_cleanup_errors=True) as folder:
        flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
        command = (
            f"exec {program} {flags} --user-data-dir={folder} --remote-debugging-pipe about:blank"
            f" 3<&{to_read[0]} 4>&{to_write[1]} 2>/dev/null"
        )
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", command), pass_fds=(to_read[0], to_write[1])
        )
        os.close(to_read[0])
        os.close(to_write[1])
        try:
            tab = Tab(await _reading(to_write[0]), await _writing(to_read[1]))
            await tab.open()
            yield tab
            await tab.ask("Page.disable")
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _reading(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LIMIT)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return reader


async def _writing(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(descriptor, "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def axe_core(folder: Path) -> str:
    """The script of axe-core, from npm; skips the test where it cannot be had."""
    if shutil.which("npm") is None:
        missing("axe-core", "there is no npm")
    process = await asyncio.create_subprocess_exec(
        *("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"),
        *("--prefix", str(folder), "axe-core@4"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        missing("axe-core", said.decode()[-300:])
    return (folder / "node_modules/axe-core/axe.min.js").read_text()
