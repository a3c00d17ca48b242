"""Writes log lines from a thread of its own, so that a stuck or full output never stops mail."""

import atexit
import os
import select
import threading
import time
from collections import deque
from typing import TextIO

from prometheus_client import Counter

LINES_DROPPED = Counter(
    "posthouse_log_lines_dropped_total", "Log lines that could not be written and were given up"
)

# About a second of a very busy relay; further lines are dropped and counted.
_MOST_LINES = 20_000
# One turn of the thread for all lines of this time: each takes the interpreter away from others.
_GATHER_SECONDS = 0.2
_FLUSH_SECONDS = 1.0
_LOOK_SECONDS = 0.005


class LogWriter:
    """Takes lines without ever blocking or failing; writes them to *stream* in order.

    When the output is blocked lines wait, up to 20,000; when it is closed or full they are lost.
    Either loss is counted in `posthouse_log_lines_dropped_total`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream  # kept: if it were collected it would close its descriptor
        self._descriptor = stream.fileno()
        self._lines: deque[bytes] = deque()
        self._wanted = threading.Event()
        self._hurried = threading.Event()
        self._writing = False
        threading.Thread(target=self._write_forever, name="log-writer", daemon=True).start()
        atexit.register(self.flush)

    def msg(self, line: bytes) -> None:
        """Take one line, without its line end; the name is the one structlog calls."""
        if len(self._lines) >= _MOST_LINES:
            LINES_DROPPED.inc()
            return
        self._lines.append(line)
        if not self._wanted.is_set():
            self._wanted.set()

    # structlog calls the method named as the level.
    debug = info = warning = error = critical = msg

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Wait until everything taken is written, but never longer than *seconds*."""
        end = time.monotonic() + seconds
        self._hurried.set()
        while (self._lines or self._writing) and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)

    def _write_forever(self) -> None:
        while True:
            self._wanted.wait()
            self._hurried.wait(_GATHER_SECONDS)
            self._hurried.clear()
            self._wanted.clear()
            self._writing = True  # before the lines leave the queue: `flush` looks at both
            waiting = len(self._lines)
            while waiting > 0:
                portion = self._portion()
                waiting -= len(portion)
                if not self._written(b"\n".join(portion) + b"\n"):
                    LINES_DROPPED.inc(len(portion))
            self._writing = False

    def _portion(self) -> list[bytes]:
        """The next lines, as many as a pipe takes in one piece; a longer line goes alone.

        So processes that share an output do not mix their lines.
        """
        portion = [self._lines.popleft()]
        octets = len(portion[0]) + 1
        while self._lines and (octets := octets + len(self._lines[0]) + 1) <= select.PIPE_BUF:
            portion.append(self._lines.popleft())
        return portion

    def _written(self, chunk: bytes) -> bool:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Another process that shares this output has made it non-blocking.
                select.select([], [self._descriptor], [], 1.0)
            except OSError:
                return False
        return True
