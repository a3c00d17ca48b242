"""What a profile is, and which there are: data, with no code path of their own (RULES A6).

A credential has one profile. It decides what ingest checks and answers, and what policy does.
"""

from posthouse.profiles.contradictions import contradictions
from posthouse.profiles.presets import (
    InvalidOverride,
    UnknownProfile,
    knob_values,
    preset_names,
    resolve,
    with_knobs,
)
from posthouse.profiles.profile import Profile

__all__ = [
    "InvalidOverride",
    "Profile",
    "UnknownProfile",
    "contradictions",
    "knob_values",
    "preset_names",
    "resolve",
    "with_knobs",
]
