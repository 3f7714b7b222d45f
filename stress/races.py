"""All races of the tests with 32 runners on 32 connections, and with many rounds of crosswise changes."""

import os
import subprocess
import sys

RUNNERS, SHORT = "32", "16"
CROSSWISE_ROUNDS, SHORT_CROSSWISE_ROUNDS = "1000", "200"
SECTION_ROUNDS = "200"


def run(*, short: bool = False) -> list[str]:
    """Run the tests of races on the database of the part, and return a sentence if one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/races"]
    sizes = {
        "RACE_RUNNERS": SHORT if short else RUNNERS,
        "CROSSWISE_ROUNDS": SHORT_CROSSWISE_ROUNDS if short else CROSSWISE_ROUNDS,
        "SECTION_ROUNDS": SECTION_ROUNDS,
    }
    done = subprocess.run(command, env={**os.environ, **sizes}, check=False)
    return [f"pytest ended with {done.returncode}."] if done.returncode else []
