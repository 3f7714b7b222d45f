"""Workers that are killed while they deliver to webhooks: the tests of killed workers, with many acts."""

import os
import subprocess
import sys

SIZES = {"KILLS": "50", "KILLED_ACTS": "20000", "HANGING_ANSWERS": "5"}
SHORT_SIZES = {"KILLS": "5", "KILLED_ACTS": "1000", "HANGING_ANSWERS": "1"}


def run(*, short: bool = False) -> list[str]:
    """Run the tests of killed workers on the database of the part, and return a sentence if one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/served/test_killed_webhooks.py"]
    sizes = SHORT_SIZES if short else SIZES
    done = subprocess.run(command, env={**os.environ, **sizes}, check=False)
    return [f"pytest ended with {done.returncode}."] if done.returncode else []
