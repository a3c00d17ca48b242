"""The settings of how long things are kept."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from posthouse.running.settings import Settings


class WithRetention(Settings):
    """For a program that does housekeeping: every one."""

    body_retention_hours: Annotated[float, Field(ge=0, le=720)] = 1.0
    """How long the text of a message is kept after it was accepted, at most 720 hours (30 days),
    if nothing is left to be sent of it. It goes with its partition: up to an hour later, with more
    than 48 hours up to a day later. Near a full disk it goes at once."""

    history_retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How long submissions, deliveries, attempts and events are kept, without texts, if nothing is
    left to be sent. They go with their partition: up to a day later, with more than 14 days up to a
    week later. Reports that come back after that, which may take two weeks, are not understood, and
    complaints, which may take longer, change no list."""

    link_retention_days: Annotated[int, Field(ge=1, le=3650)] = 400
    """How long the targets of tracked links are kept after the last message with them was prepared,
    or up to a month longer. Links in older mail lead nowhere."""

    visit_retention_days: Annotated[int | None, Field(ge=1, le=3650)] = None
    """How long opens and clicks are kept, and with them the addresses of who opened, if that is
    less than the history: after that a message's timeline and report have none, and counts of
    reports stay. Default: as long as the history."""

    audit_retention_days: Annotated[int | None, Field(ge=1, le=3650)] = None
    """How long it is kept what operators and customers changed, and who. Default: for ever."""

    @model_validator(mode="after")
    def _visits_are_history(self) -> Self:
        visits, history = self.visit_retention_days, self.history_retention_days
        if visits is not None and visits > history:
            raise ValueError(
                f"POSTHOUSE_VISIT_RETENTION_DAYS is {visits}: should be at most {history}, which "
                "POSTHOUSE_HISTORY_RETENTION_DAYS is"
            )
        return self
