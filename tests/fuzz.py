"""
Look for what nobody thought of: random acts, random files, random requests, and walks of requests that follow from
each other, many more than `make test` tries, on both databases.

`make fuzz ARGS="--examples 5000"`, or `python -m tests.fuzz --help`. A run draws new examples each time, unless it is
told not to. What it finds is printed with the line that plays it again.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from django.db import connection

from tests import run

EXAMPLES = "FUZZ_EXAMPLES"
COUNTS = "FUZZ_COUNTS"  # a folder with a file for each database, a byte for each request
TESTS = (
    "tests/test_machine.py",
    "tests/bulk/test_written_files.py",
    "tests/students/test_journal.py::RandomActs",
    "tests/school/test_openapi.py::test_the_api_conforms_to_its_document",
    "tests/school/test_openapi_links.py::test_request_sequences_along_the_links_conform_to_the_document",
)


def examples(usual: int) -> int:
    """Return how many examples a test tries: as usual, or what this run was told."""
    return int(os.environ.get(EXAMPLES, usual))


def count() -> None:
    """Count a request, over all processes of the run."""
    if folder := os.environ.get(COUNTS):
        with Path(folder, connection.display_name).open("ab") as file:
            file.write(b".")


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=500,
        help="How many each test tries on each database, for each operation of the API.",
    )
    parser.add_argument("--same", action="store_true", help="The same examples in every run.")
    options = parser.parse_args(arguments)
    os.environ |= {"HYPOTHESIS_PROFILE": "school" if options.same else "fuzz", EXAMPLES: str(options.examples)}
    with tempfile.TemporaryDirectory(prefix="school-fuzz-") as folder:
        os.environ[COUNTS] = folder
        failed = run.main(["--show-capture=no", *TESTS])
        for counted in sorted(Path(folder).iterdir()):
            print(f"{counted.stat().st_size:,} requests on {counted.name}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
