"""Run policy as a program of its own."""

import sys

from policy.settings import PolicySettings
from policy.wiring import build
from posthouse.running.program import run_program

if __name__ == "__main__":
    sys.exit(run_program("policy", PolicySettings, build))
