"""All races of the tests with 32 runners on 32 connections."""

import os
import subprocess
import sys

RUNNERS, SHORT = "32", "16"


def run(*, short: bool = False) -> list[str]:
    """Run the tests of races on the database of the part, and return a sentence if one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/races", "tests/bulk/test_races.py"]
    done = subprocess.run(command, env={**os.environ, "RACE_RUNNERS": SHORT if short else RUNNERS}, check=False)
    return [f"pytest ended with {done.returncode}."] if done.returncode else []
