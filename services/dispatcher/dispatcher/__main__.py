"""Run the dispatcher as a program of its own."""

import sys

from dispatcher.settings import DispatcherSettings
from dispatcher.wiring import build
from posthouse.running.program import run_program

if __name__ == "__main__":
    sys.exit(run_program("dispatcher", DispatcherSettings, build))
