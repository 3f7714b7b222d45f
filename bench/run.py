"""
Measure School on a database of demo data and print the figures: `make bench`, or `python -m bench.run --help`.

Everything runs on an empty database that is removed at the end. The exit code is 1 if a figure is missing or wrong.
"""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

import django
from django.db import connections

from bench import cpu_time
from bench.database import NoDatabase, analyze, describe, scratch_database
from bench.processes import Failed, manage
from bench.table import print_table

QUICK = (1_000, 100, 10_000)  # students, courses, enrollments
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "school.settings",
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "only-for-the-benchmark-on-databases-that-are-removed-at-the-end",
    "HTTPS": "false",
    "LOG_LEVEL": "WARNING",
    "TIME_ZONE": "UTC",
    "API_RATE_CLIENT": "100000000",  # requests are counted, but the limit is never reached
}


def main() -> int:
    options = _options()
    # On SIGTERM, exit normally, so that all started processes are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.quick and not options.forms:
            return cpu_time.compare()
        with scratch_database(sqlite=options.sqlite) as url:
            level = "INFO" if options.forms else ENVIRONMENT["LOG_LEVEL"]  # log as in production
            os.environ.update(ENVIRONMENT, DATABASE_URL=url, LOG_LEVEL=level)
            django.setup()
            try:
                return _measure(options)
            finally:
                connections.close_all()
    except (Failed, NoDatabase) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Everything that was started is stopped and removed.", file=sys.stderr)
        return 130


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--students", type=int, default=100_000)
    parser.add_argument("--courses", type=int, default=2_000)
    parser.add_argument("--enrollments", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="Rows of the imported file.")
    parser.add_argument("--linear", action="store_true", help="Import smaller files too, each a tenth of the next.")
    parser.add_argument(
        "--imports", action="store_true", help="Only the imports, into a database without other imports."
    )
    parser.add_argument("--requests", action="store_true", help="Only the requests.")
    parser.add_argument("--quick", action="store_true", help="Only the forms of requests, on little data.")
    parser.add_argument(
        "--forms", type=Path, help=SUPPRESS
    )  # the file to which a process of --quick writes its results
    parser.add_argument("--pages", action="store_true", help="Only the pages of the admin.")
    parser.add_argument("--oneroster", action="store_true", help="Only OneRoster: pages and the export.")
    parser.add_argument("--backups", action="store_true", help="Only the backup and the restore.")
    parser.add_argument("--webhooks", action="store_true", help="Only webhooks: the delivery, and enrolling.")
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="FOLDER",
        help="The folder of the peers, which are loaded in alternation with School.",
    )
    parser.add_argument("--sqlite", action="store_true", help="Only seed and import, on an SQLite file; or its backup.")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=10, help="The duration of a round of requests.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.quick:
        options.students, options.courses, options.enrollments = QUICK
    return options


def _measure(options: Namespace) -> int:
    """Print all selected figures; return 1 if one is missing."""
    # Imported here, as they need models, and Django is set up only now.
    from bench import admin_pages, backups, http, imports, oneroster, queries, webhooks

    manage("migrate", "--verbosity", "0")
    _print_machine()
    _seed(options)
    sizes = imports.sizes_up_to(options.rows, linear=options.linear)
    parts = {"pages": admin_pages, "oneroster": oneroster, "webhooks": webhooks, "backups": backups}
    figures: list[Callable[[], None]] = [lambda: imports.measure(sizes)]
    if not (options.sqlite or options.imports):
        load = http.Load(options.connections, options.seconds, options.rounds, options.peers)
        rest = [*figures, queries.measure, *(part.measure for part in parts.values())]
        figures = [lambda: http.measure(load), *([] if options.requests else rest)]
    if options.forms:
        figures = [lambda: cpu_time.measure(options.forms)]
    figures = [part.measure for name, part in parts.items() if getattr(options, name)] or figures
    failed = False
    for figure in figures:
        try:
            figure()
        except Failed as error:
            print(f"\nFAILED: {error}", flush=True)
            failed = True
    return int(failed)


def _print_machine() -> None:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    wrk = "-"
    if shutil.which("wrk"):
        wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()[1]
    lines = {
        "processor": f"{len(os.sched_getaffinity(0))} cores, {model[1] if model else platform.machine()}",
        "load": f"{os.getloadavg()[0]:.1f} processes waiting for a core or running, the mean of the last minute",
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "database": describe(),
        "wrk": wrk,
    }
    for name, value in lines.items():
        print(f"{name:<10} {value}", flush=True)


def _seed(options: Namespace) -> None:
    size = {name: getattr(options, name) for name in ("students", "courses", "enrollments")}
    command = ["seed_demo", *(part for name, value in size.items() for part in (f"--{name}", str(value)))]
    done = manage(*command)
    print_table(
        f"`manage.py {' '.join(command)}`",
        ["what", "seconds", "enrollments/s", "peak MB"],
        [
            [
                "all, in one transaction",
                f"{done.seconds:.0f}",
                f"{options.enrollments / done.seconds:,.0f}",
                f"{done.peak_mb:.0f}",
            ]
        ],
    )
    print(f"Then {analyze()}.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
