"""Say so when a server that tests need is not to be had."""

import os
from typing import NoReturn

import pytest


def missing(what: str, why: str) -> NoReturn:
    """Skip what needs this server; with POSTHOUSE_REQUIRE_SERVERS=1 that is a failure."""
    text = f"{what} is missing: {why}"
    if os.environ.get("POSTHOUSE_REQUIRE_SERVERS") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
