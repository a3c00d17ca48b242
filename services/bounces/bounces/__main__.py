"""Run bounces as a program of its own."""

import sys

from bounces.settings import BouncesSettings
from bounces.wiring import build
from posthouse.running.program import run_program

if __name__ == "__main__":
    sys.exit(run_program("bounces", BouncesSettings, build))
