"""What a profile is, and which there are: data, with no code path of their own (RULES A6).

A credential has one profile. It decides what ingest checks and answers, and what policy does.
"""

from posthouse.profiles.presets import InvalidOverride, UnknownProfile, resolve
from posthouse.profiles.profile import Profile

__all__ = ["InvalidOverride", "Profile", "UnknownProfile", "resolve"]
