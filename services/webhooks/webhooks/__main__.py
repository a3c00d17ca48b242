"""Run webhooks as a program of its own."""

import sys

from posthouse.running.program import run_program
from webhooks.settings import WebhooksSettings
from webhooks.wiring import build

if __name__ == "__main__":
    sys.exit(run_program("webhooks", WebhooksSettings, build))
