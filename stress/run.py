"""
Put School under stress and see whether it keeps its promises: `make stress`, or `python -m stress.run --help`.

Every part runs on an empty database that is removed at the end; PostgreSQL is durable, as in production. Nothing is
spoken to but 127.0.0.1. The exit code is 1 where a promise was broken, and a line says which.
"""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module

import django
from django.db import connections

from bench.database import NoDatabase, describe, scratch_database
from bench.processes import Failed, manage

PARTS = ("rush", "killed", "writers", "slow", "memory")
SQLITE = ("writers",)
MOST_SHOWN = 20
LIMIT = 900  # seconds that a part may take
SLOWEST = 100  # requests a second, where their number is given

ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "school.settings",
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "only-for-the-stress-on-databases-that-are-removed-at-the-end",
    "HTTPS": "false",
    "LOG_LEVEL": "ERROR",
    "LOG_JSON": "true",
    "TIME_ZONE": "UTC",
    "API_RATE_CLIENT": "100000000",  # counted as ever, and never reached
}


def main() -> int:
    options = _options()
    for end in (signal.SIGTERM, signal.SIGALRM):
        # So that whatever was started is also stopped where it is told to end, or takes too long.
        signal.signal(end, lambda number, _frame: sys.exit(128 + number))
    try:
        if not options.part:
            return int(any([_run_apart(part) for part in PARTS]))  # noqa: C419  # all parts, whatever the first says
        signal.alarm(LIMIT + options.requests // SLOWEST)
        with scratch_database(sqlite=options.part in SQLITE) as url:
            os.environ.update(ENVIRONMENT, DATABASE_URL=url)
            django.setup()
            try:
                return _run(options)
            finally:
                connections.close_all()
    except (Failed, NoDatabase) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Everything that was started is stopped and removed.", file=sys.stderr)
        return 130


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m stress.run", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="One part; without it all run, one after the other.")
    parser.add_argument("--short", action="store_true", help="A smaller crowd.")
    parser.add_argument("--requests", type=int, default=0, help="How many requests of memory, 100,000 without it.")
    return parser.parse_args()


def _run_apart(part: str) -> int:
    """Run a part in a process of its own: settings are read once in each, and the parts have databases of their own."""
    process = subprocess.Popen([sys.executable, "-m", "stress.run", *sys.argv[1:], part])
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _run(options: Namespace) -> int:
    """Run a part, and say what went wrong."""
    manage("migrate", "--verbosity", "0")
    print(f"\n{describe()}, {len(os.sched_getaffinity(0))} cores", flush=True)
    # It needs models, and so Django set up on the database that there is only now.
    more = {"requests": options.requests} if options.part == "memory" else {}
    found = import_module(f"stress.{options.part}").run(short=options.short, **more)
    for sentence in found[:MOST_SHOWN]:
        print(f"BROKEN: {sentence}", flush=True)
    if found[MOST_SHOWN:]:
        print(f"… and {len(found) - MOST_SHOWN} more.", flush=True)
    print("FAILED" if found else "All promises were kept.", flush=True)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
