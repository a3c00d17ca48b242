"""Reads damaged reports and judges damaged replies: none raises, none is slow, memory stays flat.

PYTHONPATH=tests python -m fuzz [N] [--seed SEED] [--also FOLDER]
"""

import argparse
import json
import resource
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from random import Random

from bounces.core.classification import summary
from bounces.core.reports.reading import read
from bounces.core.verdict import decide
from fuzz.damage import damaged
from posthouse.answers import Stage, judge, read_answer
from servers.returned_mail import OURS, REPORTS

_SLOWEST = 1.0  # seconds of CPU that one input may take
_MOST_GROWTH = 32 << 10  # KiB that the process may grow by after the first tenth
_LARGEST = 60_000  # octets of a message that is damaged
_FAILED = Path("fuzz-failed.eml")


def main() -> int:
    """Run, print one line and what failed; 1 if anything did."""
    options = _options()
    random = Random(options.seed)  # noqa: S311 - damage, no secret
    whole = [path.read_bytes()[:_LARGEST] for path in _messages(options.also)]
    slowest, settled, begin = 0.0, 0, time.monotonic()
    for number in range(options.n):
        content = damaged(random, whole)
        try:
            took = _seconds(content, random)
            if took > _SLOWEST:  # a neighbour of the processor's may have slowed it: once more
                took = min(took, _seconds(content, random))
        except Exception:  # noqa: BLE001 - whatever it is, that is what is looked for
            return _failed(content, f"input {number} raised:\n{traceback.format_exc()}")
        slowest = max(slowest, took)
        if took > _SLOWEST:
            return _failed(content, f"input {number} took {took:.1f} s of CPU")
        if number == options.n // 10:
            settled = _peak()
    growth = _peak() - settled
    sys.stdout.write(
        f"{options.n} damaged messages of {len(whole)} in {time.monotonic() - begin:.0f} s: "
        f"0 raised, slowest {slowest * 1000:.0f} ms, memory grew by {growth} KiB after a tenth\n"
    )
    return int(growth > _MOST_GROWTH)


def _seconds(content: bytes, random: Random) -> float:
    """Of CPU that reading and judging take."""
    started = time.process_time()
    _read_and_judge(content, random)
    return time.process_time() - started


def _read_and_judge(content: bytes, random: Random) -> None:
    report = read(content)
    decide(report, OURS)
    json.dumps(summary(report)).encode()
    json.dumps(asdict(report), ensure_ascii=False).encode()
    begin = random.randrange(len(content) + 1)
    said = content[begin : begin + random.choice((20, 200, 2000))].decode("latin-1")
    for stage in (Stage.RCPT, Stage.DOT, Stage.REPORT, Stage.PROSE):
        judge(read_answer(said, stage))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--also", type=Path, help="a folder of more messages to damage")
    return parser.parse_args()


def _messages(also: Path | None) -> list[Path]:
    more = sorted(path for path in also.rglob("*") if path.is_file()) if also else []
    return [*REPORTS, *(path for path in more if path.suffix in {".eml", ".msg", ".txt"})]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB


def _failed(content: bytes, why: str) -> int:
    _FAILED.write_bytes(content)
    sys.stdout.write(f"{why}\nThe input is in {_FAILED}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
