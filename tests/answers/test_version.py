"""A judgement is stored with the version of the rules: another version for each change of them."""

import json
import tomllib
from hashlib import sha256
from importlib.resources import files

from posthouse.answers import RULES_VERSION

# The version, and the digest of its rules: both change together.
KNOWN = (5, "529ed90ffc085d2a")


def test_rules_that_change_get_another_version() -> None:
    rules = tomllib.loads((files("posthouse.answers") / "rules.toml").read_text())
    digest = sha256(json.dumps(rules).encode()).hexdigest()[:16]
    assert (RULES_VERSION, digest) == KNOWN
