"""A profile: every knob that may differ between customers, as one frozen value (RULES A6)."""

from dataclasses import dataclass

from posthouse.profiles.knobs import (
    BounceKnobs,
    ConformanceKnobs,
    ControlKnobs,
    DomainKnobs,
    PriorityKnobs,
    RecipientKnobs,
    ReplyTexts,
    SandboxKnobs,
    SenderKnobs,
    SessionKnobs,
    SizeKnobs,
    SuppressionKnobs,
    TagKnobs,
    TrackingKnobs,
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a credential resolves to at AUTH; name and revision are stored with every message."""

    name: str
    revision: int  # counts up when a preset changes, so that old decisions can be explained
    session: SessionKnobs
    sender: SenderKnobs
    recipients: RecipientKnobs
    conformance: ConformanceKnobs
    control: ControlKnobs
    tags: TagKnobs
    tracking: TrackingKnobs
    suppression: SuppressionKnobs
    bounces: BounceKnobs
    priority: PriorityKnobs
    size: SizeKnobs
    domain: DomainKnobs
    sandbox: SandboxKnobs
    replies: ReplyTexts
