"""The script: mail in and out by SMTP in strict lanes, bounces, and no mail to dead addresses."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from demo.application import Accepted, Application, DemoMessage, DemoSender
from demo.checks import (
    Check,
    is_finished,
    kinds,
    overtaking,
    same_recipients,
    signatures,
)
from demo.output import DemoOutput
from demo.stage import DemoStage
from posthouse.mail.lane import Lane

_BULK = 240
_UNDER_WAY = 40  # bulk messages at the sink before the urgent ones are submitted
_URGENT = (
    *((Lane.VERY_HIGH, f"alert{n}") for n in range(1, 5)),
    *((Lane.HIGH, f"receipt{n}") for n in range(1, 5)),
    *((Lane.NORMAL, f"letter{n}") for n in range(1, 5)),
)
_PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.1

T = TypeVar("T")


class StoryFailed(Exception):
    """An expected result did not come in time."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The accounts and domains of one run, under names that no other run has."""

    sender: DemoSender
    account: str
    there: str  # the domain that mail goes to
    published: Mapping[str, str]  # the sending domain's DNS records, by name


class Story:
    """One run; it collects the checks."""

    def __init__(self, stage: DemoStage, output: DemoOutput) -> None:
        self._stage = stage
        self._output = output
        self._checks: list[Check] = []

    def perform(self) -> bool:
        """Run all steps; whether all checks passed. Raises DemoFailed, NotAccepted, StoryFailed."""
        cast = self._make_sender()
        with Application(self._stage.submission, cast.sender) as application:
            bulk = self._send_bulk(cast, application)
            urgent = self._send_urgent(cast, application)
            first = self._write_to_the_dead(cast, application)
            self._wait_for_deliveries(cast, (*bulk, *urgent, first))
            self._look_at_lanes(cast, bulk, urgent)
            self._look_at_signatures(cast, (bulk[0], urgent[0]))
            self._look_at_bounces(cast, first)
            again = self._write_again(cast, application)
        self._tell_timelines((urgent[0], bulk[-1], first, again))
        return self._conclude()

    def _make_sender(self) -> Cast:
        tag = secrets.token_hex(3)
        domain, account = f"shop-{tag}.example", f"demo-{tag}"
        self._output.step("An account, a user with a secret, a sending domain with DKIM keys")
        made = json.loads(
            self._stage.ask(
                *("credential", "create", "--json", "--account", account),
                *("--lane", "bulk", "--highest-lane", "very-high"),
                *("--domain", domain, "--note", "made by posthouse demo"),
            )
        )
        published = {record["name"]: record["value"] for record in made["records"]}
        keys = [name.partition(".")[0] for name in published if "._domainkey." in name]
        self._output.fact(f"user {made['username']}, domain {domain}, keys {' and '.join(keys)}")
        sender = DemoSender(made["username"], made["secret"], f"hello@{domain}")
        return Cast(sender, account, f"there-{tag}.example", published)

    def _send_bulk(self, cast: Cast, application: Application) -> list[Accepted]:
        self._output.step(f"A newsletter: {_BULK} messages in the bulk lane, to a slow server")
        # Else a machine that is slow to accept them would have none that wait.
        self._stage.ask("account", "hold", cast.account, "--reason", "until all of it is accepted")
        begun = time.monotonic()
        parcels = [
            DemoMessage(Lane.BULK, (f"reader{n}@{cast.there}",), f"Newsletter {n}")
            for n in range(1, _BULK + 1)
        ]
        accepted = application.submit(parcels)
        seconds = time.monotonic() - begun
        self._output.fact(f"all accepted (committed, then 250) in {seconds:.1f} s, over STARTTLS")
        self._stage.ask("account", "release", cast.account)
        self._output.fact("held until then, and released now: all of it waits to be sent")
        return accepted

    def _send_urgent(self, cast: Cast, application: Application) -> list[Accepted]:
        self._wait("the newsletter to be under way", lambda: len(self._arrived(cast)) >= _UNDER_WAY)
        before = len(self._arrived(cast))
        self._output.step(f"{len(_URGENT)} messages in higher lanes, after the newsletter")
        parcels = [
            DemoMessage(lane, (f"{name}@{cast.there}",), f"{lane.label}: {name}")
            for lane, name in _URGENT
        ]
        accepted = application.submit(parcels)
        self._output.fact(f"accepted when {before} of {_BULK} newsletters had arrived")
        return sorted(accepted, key=lambda message: message.parcel.lane)

    def _write_to_the_dead(self, cast: Cast, application: Application) -> Accepted:
        self._output.step("One message to alice@ (exists), nobody@ (refused) and gone@ (bounces)")
        return self._submit_to_three(cast, application, "Are you there?")

    def _wait_for_deliveries(self, cast: Cast, messages: Sequence[Accepted]) -> None:
        refused = 1  # nobody@
        total = sum(len(message.parcel.recipients) for message in messages) - refused
        self._output.step("Delivery by SMTP")
        with self._output.progress("arrived", total) as show:

            def arrived() -> bool:
                count = len(self._arrived(cast))
                show(count)
                return count >= total

            self._wait("every message to arrive", arrived)

    def _look_at_lanes(
        self, cast: Cast, bulk: Sequence[Accepted], urgent: Sequence[Accepted]
    ) -> None:
        self._output.step("Order of arrival")
        started = self._arrived(cast)
        order = sorted(started.values())
        for message in urgent:
            recipient = message.parcel.recipients[0]
            rank = order.index(started[recipient]) + 1
            after = (started[recipient] - message.at) * 1000
            self._output.fact(
                f"{message.parcel.lane.label:<10} {recipient.partition('@')[0]:<9} "
                f"was number {rank} of {len(order)}, {max(after, 0):.0f} ms after its 250"
            )
        self._check(overtaking(bulk, urgent, started))

    def _look_at_signatures(self, cast: Cast, messages: Sequence[Accepted]) -> None:
        self._output.step("Signatures, verified by another implementation with the published keys")
        numbers = {
            recipient: message["number"]
            for message in self._stage.received()["messages"]
            for recipient in message["recipients"]
        }
        for message in messages:
            content = self._stage.content(numbers[message.parcel.recipients[0]])
            self._check(signatures(content, cast.published))

    def _look_at_bounces(self, cast: Cast, first: Accepted) -> None:
        self._output.step("Bounces")
        dead = _dead(cast)
        timeline = self._timeline_when(
            first, "both bounces", lambda story: kinds(story, "bounced") >= dead
        )
        self._check(same_recipients("Bounced for good", dead, kinds(timeline, "bounced")))
        listed = json.loads(
            self._stage.ask("suppression", "list", "--account", cast.account, "--json")
        )
        addresses = frozenset(entry["address"] for entry in listed)
        self._check(same_recipients("On the suppression list now", dead, addresses))

    def _write_again(self, cast: Cast, application: Application) -> Accepted:
        self._output.step("The same three again")
        again = self._submit_to_three(cast, application, "Are you still there?")
        timeline = self._timeline_when(again, "the second message to be done", is_finished)
        dead, alice = _dead(cast), frozenset({f"alice@{cast.there}"})
        self._check(
            same_recipients("Suppressed, never attempted", dead, kinds(timeline, "suppressed"))
        )
        self._check(same_recipients("Delivered again", alice, kinds(timeline, "delivered")))
        received = self._stage.received()
        seen = [r for message in received["messages"] for r in message["recipients"]]
        tried = sum((seen + received["refused"]).count(address) for address in dead)
        self._check(
            Check(
                "The dead addresses were tried once each, not again",
                holds=tried == len(dead),
                seen=f"they were tried {tried} times",
            )
        )
        return again

    def _tell_timelines(self, messages: Sequence[Accepted]) -> None:
        self._output.step("Their timelines, as `posthouse message ID` prints them")
        told = self._stage.ask("message", *(message.id for message in messages))
        for story in told.replace("\nmessage ", "\n\0message ").split("\0"):
            self._output.quote(story.rstrip().splitlines())

    def _conclude(self) -> bool:
        failed = sum(not check.holds for check in self._checks)
        total = len(self._checks)
        self._output.step(f"{total - failed} of {total} checks passed")
        for check in self._checks:
            if not check.holds:
                self._output.verdict(check)
        return failed == 0

    def _submit_to_three(self, cast: Cast, application: Application, subject: str) -> Accepted:
        recipients = tuple(f"{name}@{cast.there}" for name in ("alice", "nobody", "gone"))
        parcel = DemoMessage(Lane.HIGH, recipients, subject)
        (accepted,) = application.submit([parcel])
        self._output.fact(f"accepted as {accepted.id}")
        return accepted

    def _arrived(self, cast: Cast) -> dict[str, float]:
        """By recipient of this run, when its transaction began at the sink."""
        return {
            recipient: message["started"]
            for message in self._stage.received()["messages"]
            for recipient in message["recipients"]
            if recipient.endswith(f"@{cast.there}")
        }

    def _timeline_when(
        self, message: Accepted, what: str, is_so: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            timeline: dict[str, Any] = json.loads(self._stage.ask("message", message.id, "--json"))
            return timeline if is_so(timeline) else None

        return self._wait(what, look)

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        """What *look* finds, once it finds something."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not (found := look()):
            if time.monotonic() > end:
                raise StoryFailed(f"waited {_PATIENCE_SECONDS:.0f} s for {what}, in vain")
            time.sleep(_POLL_SECONDS)
        return found

    def _check(self, check: Check) -> None:
        self._checks.append(check)
        self._output.verdict(check)


def _dead(cast: Cast) -> frozenset[str]:
    return frozenset({f"nobody@{cast.there}", f"gone@{cast.there}"})
