"""
Fuzz tests: random actions, files, requests and sequences of requests, many more than in `make test`, on both databases.

`make fuzz ARGS="--examples 5000"`, or `python -m tools.fuzz --help`. Each run draws new examples,
unless `--same` is given. Each failure is printed with a line that reproduces it.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from django.db import connection

from tools import run_tests

EXAMPLES = "FUZZ_EXAMPLES"
COUNTS = "FUZZ_COUNTS"  # a folder with a file for each database, a byte for each request
TESTS = (
    "tests/students/test_machine.py",
    "tests/bulk/test_written_files.py",
    "tests/students/test_journal.py::RandomActs",
    "tests/school/test_openapi_conformance.py::test_the_api_conforms_to_its_document",
    "tests/oneroster/test_conformance.py",
    "tests/school/test_openapi_links.py::test_request_sequences_along_the_links_conform_to_the_document",
)


def examples(usual: int) -> int:
    """Return the number of examples of a test: the usual one, or the one of this run."""
    return int(os.environ.get(EXAMPLES, usual))


def count() -> None:
    """Count a request across all processes of the run."""
    if folder := os.environ.get(COUNTS):
        with Path(folder, connection.display_name).open("ab") as file:
            file.write(b".")


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=500,
        help="Examples of each test on each database, for each operation of the API.",
    )
    parser.add_argument("--same", action="store_true", help="Use the same examples in every run.")
    options = parser.parse_args(arguments)
    os.environ |= {"HYPOTHESIS_PROFILE": "school" if options.same else "fuzz", EXAMPLES: str(options.examples)}
    with tempfile.TemporaryDirectory(prefix="school-fuzz-") as folder:
        os.environ[COUNTS] = folder
        failed = run_tests.main(["--show-capture=no", *TESTS])
        for counted in sorted(Path(folder).iterdir()):
            print(f"{counted.stat().st_size:,} requests on {counted.name}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
