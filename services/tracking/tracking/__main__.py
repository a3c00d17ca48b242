"""Run tracking as a program of its own."""

import sys

from posthouse.running.program import run_program
from tracking.settings import TrackingSettings
from tracking.wiring import build

if __name__ == "__main__":
    sys.exit(run_program("tracking", TrackingSettings, build))
