"""Run ingest as a program of its own."""

import sys

from ingest.settings import IngestSettings
from ingest.wiring import build
from posthouse.running.program import run_program

if __name__ == "__main__":
    sys.exit(run_program("ingest", IngestSettings, build))
