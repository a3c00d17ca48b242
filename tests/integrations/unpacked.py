"""Debian packages that are unpacked and not installed, as mail servers exclude each other."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.peers.unpacked import add_users, unpack
from bench.systems import NotMeasured

from servers.missing import missing


def layer_of(name: str, packages: Sequence[str], users: Mapping[str, int]) -> Path:
    """The folder of *packages*, with *users*; skips what calls it where that cannot be had."""
    if os.geteuid() != 0:
        missing(name, "only root may run it from unpacked packages")
    try:
        layer = unpack(name, packages)
    except NotMeasured as reason:
        missing(name, str(reason))
    if users:
        add_users(layer, users)
    return layer
