"""
Stress tests of School: `make stress`, or `python -m stress.run --help`.

Every part runs on an empty database that is removed at the end; PostgreSQL is durable, as in production. Connections
go only to 127.0.0.1. The exit code is 1 if a check failed, and a line is printed for each failure.
"""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module
from typing import NoReturn

import django
from django.db import connections

from bench.database import NoDatabase, describe, scratch_database
from bench.processes import Failed, manage
from stress.failover.cluster import obstacle
from stress.failover.machines import in_own_namespaces, run_in_own_namespaces

PARTS = {
    "rush": "stress.enrollment_rush",
    "killed": "stress.killed_server",
    "writers": "stress.sqlite_writers",
    "slow": "stress.slow_senders",
    "memory": "stress.memory",
    "races": "stress.races",
    "pooler": "stress.pooler",
    "webhooks": "stress.webhooks",
    "failover": "stress.failover.run",
}
SQLITE = ("writers",)
FAILOVER = "failover"
MAX_PRINTED = 20
LIMIT = 900  # seconds for each part
SLOWEST = 100  # requests a second, to extend the time for --requests
FAULT_LIMIT = 90  # seconds, to extend the time for --faults

ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "school.settings",
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "only-for-the-stress-on-databases-that-are-removed-at-the-end",
    "HTTPS": "false",
    "LOG_LEVEL": "ERROR",
    "LOG_JSON": "true",
    "TIME_ZONE": "UTC",
    "API_RATE_CLIENT": "100000000",  # requests are counted, but the limit is never reached
}


def main() -> int:
    options = _options()
    for end in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(end, _exit)
    try:
        if options.part == FAILOVER and not in_own_namespaces():
            if reason := obstacle():
                print(f"The failovers did not run. {reason}", flush=True)
                return int(os.environ.get("REQUIRE_ALL") == "1")
            return run_in_own_namespaces(["-m", "stress.run", *sys.argv[1:]])
        if not options.part:
            parts = [part for part in PARTS if part != FAILOVER]
            return int(any([_run_apart(part) for part in parts]))  # noqa: C419  # run all parts, even after a failure
        signal.alarm(LIMIT + options.requests // SLOWEST + options.faults * FAULT_LIMIT)
        if options.part == FAILOVER:
            return _run_failover(options)
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


def _exit(number: int, _frame: object) -> NoReturn:
    """On SIGTERM and after the time limit, exit normally once, so that all started processes are stopped."""
    for end in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(end, signal.SIG_IGN)
    sys.exit(128 + number)


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m stress.run", description=__doc__)
    parser.add_argument(
        "part", nargs="?", choices=PARTS, help="The part to run; by default all but failover, one after the other."
    )
    parser.add_argument("--short", action="store_true", help="Use fewer students and requests.")
    parser.add_argument(
        "--requests", type=int, default=0, help="The number of requests of the part memory; by default 100,000."
    )
    parser.add_argument(
        "--faults", type=int, default=0, help="The number of faults of the part failover; by default 26."
    )
    parser.add_argument(
        "--rate", type=float, default=75, help="The number of acts a second of the part failover; by default 75."
    )
    return parser.parse_args()


def _run_apart(part: str) -> int:
    """Run a part in a separate process, as settings are read once and each part has its own database."""
    process = subprocess.Popen([sys.executable, "-m", "stress.run", *sys.argv[1:], part])
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _run_failover(options: Namespace) -> int:
    """Run the part that has a cluster of its own, in a network of its own."""
    os.environ.update(ENVIRONMENT)
    part = import_module(PARTS[FAILOVER])
    return _print(part.run(short=options.short, faults=options.faults, rate=options.rate))


def _run(options: Namespace) -> int:
    """Run a part, and print the problems."""
    manage("migrate", "--verbosity", "0")
    print(f"\n{describe()}, {len(os.sched_getaffinity(0))} cores", flush=True)
    # Imported here, as it needs models, and Django is set up only now.
    more = {"requests": options.requests} if options.part == "memory" else {}
    return _print(import_module(PARTS[options.part]).run(short=options.short, **more))


def _print(problems: list[str]) -> int:
    for sentence in problems[:MAX_PRINTED]:
        print(f"BROKEN: {sentence}", flush=True)
    if problems[MAX_PRINTED:]:
        print(f"… and {len(problems) - MAX_PRINTED} more.", flush=True)
    print("FAILED" if problems else "All checks passed.", flush=True)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
