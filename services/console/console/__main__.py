"""Run console as a program of its own."""

import sys

from console.settings import ConsoleSettings
from console.wiring import build
from posthouse.running.program import run_program

if __name__ == "__main__":
    sys.exit(run_program("console", ConsoleSettings, build))
