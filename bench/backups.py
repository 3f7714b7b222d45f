"""Measure the backup of the database, and its restore into another one, which is then verified."""

import os
import tempfile
from pathlib import Path

from bench.database import second_database
from bench.processes import manage
from bench.table import print_table
from students.models import StudentCourse


def measure() -> None:
    """Print the table; raise ``Failed`` if a command fails, or if the restored database is not right."""
    url = os.environ["DATABASE_URL"]
    with tempfile.TemporaryDirectory(prefix="school-bench-") as folder, second_database(url) as other:
        file = Path(folder, "school.backup")
        backup = manage("backup", str(file))
        os.environ["DATABASE_URL"] = other
        try:
            restore = manage("restore", str(file))  # it verifies the data at its end
        finally:
            os.environ["DATABASE_URL"] = url
        size = f"{file.stat().st_size / 2**20:.1f}"
    rows = [
        [name, f"{done.seconds:.0f}", f"{done.peak_mb:.0f}"]
        for name, done in {"backup": backup, "restore": restore}.items()
    ]
    title = f"`manage.py backup` and `restore` with its verification, {StudentCourse.objects.count():,} enrollments"
    print_table(title, ["what", "seconds", "peak MB"], rows)
    print(f"The backup has {size} MB.", flush=True)
