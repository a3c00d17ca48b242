"""What policy costs for each message of 10 KB, in microseconds of CPU: `python -m bench.preparing`.

The costs are measured in turn, round after round, so that a bad moment affects all; it prints
medians with the lowest and highest round.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import structlog
from bench.newsletter import NAME, newsletter
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.facts import DomainKeys, Facts, Relay, TrackingHost
from policy.core.request import read
from policy.signing import OneByOne, Signer, best
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.mail.lane import Lane
from posthouse.mail.message import has_bare_line_end
from posthouse.mail.submission import Rendition, Submission
from posthouse.profiles import Profile, resolve
from posthouse.running.common_settings import LogFormat
from posthouse.running.identity import new_id
from posthouse.running.keys import generate
from posthouse.running.logs import configure
from posthouse.tracking.token import token_keys

ROUNDS = 15
MESSAGES = 200  # a round

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEY = SigningKey.load("sender.example", "s1", Algorithm.RSA, generate(Algorithm.RSA))
SENDER = DomainKeys("sender.example", "bounce.sender.example", (KEY,))
HOST = TrackingHost("https://t.relay.example", token_keys(b"t" * 32, [0])[0])
RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32, HOST)
FACTS = Facts(RELAY, {SENDER.domain: SENDER}, {})
NATIVE = resolve("native")
TRACKED = resolve("native", None, {"tracking.opens": True, "tracking.clicks": True})

_HEADER = (
    "From: News <news@sender.example>\r\nTo: user{n}@dest.example\r\nSubject: Message {n}\r\n"
    "Date: Sun, 01 Mar 2026 12:30:00 +0000\r\nMessage-ID: <{n}.17723682@sender.example>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nX-Bench-Id: {n}\r\n\r\n"
)
_LINE = b"The quick brown fox jumps over the lazy dog, and then it all begins again.\r\n"
_BODY = _LINE * ((10_240 - len(_HEADER)) // len(_LINE))


def main() -> None:
    """Measure and print."""
    log = structlog.get_logger()
    submissions = [_submission(n) for n in range(MESSAGES)]
    newsletters = [_newsletter(each) for each in submissions]
    plans = [_planned(submission) for submission in submissions]
    alone, together = OneByOne(), best()
    private = KEY.private
    assert isinstance(private, RSAPrivateKey)
    costs: dict[str, Callable[[int], object]] = {
        "plan: read, decide, edit, name": lambda n: _planned(submissions[n]),
        "  the same of a newsletter": lambda n: _planned(newsletters[n]),
        "  ... with links and opens tracked": lambda n: _planned(newsletters[n], TRACKED),
        "sign one by one, with hashes and field": lambda n: _signed(plans[n : n + 1], alone),
        "  the bare RSA-2048 operation in it": lambda n: private.sign(
            n.to_bytes(2, "big"), PKCS1v15(), SHA256()
        ),
        f"sign {together.at_once} at once, all of them": lambda _: _signed(
            plans[: together.at_once], together
        ),
        "a look for bare CR, LF and NUL": lambda n: has_bare_line_end(submissions[n].body),
        "an id": lambda _: new_id(),
        "a log line, with its writer": lambda n: log.info(
            "prepared", submission=submissions[n].id.hex, lane="normal", deliveries=1
        ),
    }
    with Path(os.devnull).open("w") as nowhere:
        writer = configure("bench", form=LogFormat.JSON, stream=nowhere)
        rounds = measured(costs, after=writer.flush)
    for name, seen in rounds.items():
        low, middle, high = min(seen), statistics.median(seen), max(seen)
        print(f"{name:40} {middle:7.1f} us   ({low:.1f}-{high:.1f})")


def measured(
    costs: Mapping[str, Callable[[int], object]], after: Callable[[], None]
) -> Mapping[str, list[float]]:
    """Microseconds of CPU per message of each of *costs*, a figure for each round."""
    seen: dict[str, list[float]] = {name: [] for name in costs}
    for _ in range(ROUNDS):
        for name, pay in costs.items():
            start = time.process_time_ns()
            for n in range(MESSAGES):
                pay(n)
            after()
            seen[name].append((time.process_time_ns() - start) / 1e3 / MESSAGES)
    return seen


def _submission(number: int) -> Submission:
    return Submission(
        id=new_id(),
        account_id=UUID(int=1),
        credential_id=UUID(int=2),
        profile="native",
        lane=Lane.NORMAL,
        sender="news@sender.example",
        recipients=(f"user{number}@dest.example",),
        smtputf8=False,
        client="8.8.4.4",
        helo="app.sender.example",
        tls="TLSv1.3",
        header=_HEADER.format(n=number).encode(),
        body=_BODY,
    )


def _newsletter(submission: Submission) -> Submission:
    header = submission.header.replace(b"text/plain", b"text/html")
    body = newsletter(10_240).replace(NAME, submission.recipients[0].encode())
    return replace(submission, header=header, body=body)


def _planned(submission: Submission, profile: Profile = NATIVE) -> Plan:
    """The work of policy on one message before it is signed."""
    decision = decide(read(submission, profile), FACTS, NOW, iter(new_id, None))
    assert isinstance(decision, Plan)
    return decision


def _signed(plans: Sequence[Plan], signer: Signer) -> list[Rendition]:
    return sign([one for plan in plans for one in unsigned(plan, NOW)], signer.sign)


if __name__ == "__main__":
    main()
