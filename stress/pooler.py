"""A hundred clients through PgBouncer with ten connections: timeouts apply, a roster comes whole, promises are kept."""

import os
import subprocess
import sys

SECONDS, SHORT = "60", "10"


def run(*, short: bool = False) -> list[str]:
    """Run the tests of the pooler for longer, on a server of their own, and return a sentence if one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/served/test_pooler.py"]
    environment = {**os.environ, "POOLER_SECONDS": SHORT if short else SECONDS, "REQUIRE_ALL": "1"}
    done = subprocess.run(command, env=environment, check=False)
    return [f"pytest ended with {done.returncode}."] if done.returncode else []
