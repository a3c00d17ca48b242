"""Run a server for as long as the tests that started it: guardian.py COMMAND...

Lines on standard input are signals for the server ("TERM"). When the input ends, because the tests
are over or were killed themselves, the server and everything it started is killed.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def _die_with_the_guardian() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _lines() -> list[str] | None:
    """What came in since the last look; None at the end."""
    data = os.read(0, 4096)
    return data.decode().split() if data else None


def main(command: list[str]) -> int:
    """Pass signals on until the server ends or our input does; the server's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the tests, which then end us
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_the_guardian,  # noqa: PLW1509 -- this process has a single thread
    ) as server:
        ended = os.pidfd_open(server.pid)
        while ended not in (ready := select.select([0, ended], [], [])[0]):
            names = _lines() if ready else []
            if names is None:
                os.killpg(server.pid, signal.SIGKILL)
                break
            for name in names:
                server.send_signal(signal.Signals[f"SIG{name}"])
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
