"""Measure OneRoster: the first publication, a page of enrollments, all enrollments page by page, and the export."""

import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from rest_framework.test import APIClient

from bench.callers import HOST
from bench.database import analyze
from bench.processes import Failed, manage
from bench.table import print_table
from courses.api_client_creation import create_api_client
from oneroster.models import EnrollmentRecord
from oneroster.publishing import publish

ENROLLMENTS = "/ims/oneroster/rostering/v1p2/enrollments"
PAGE = 10_000


def measure() -> None:
    """Print the tables; raise ``Failed`` for a wrong response or an incomplete list."""
    began = time.perf_counter()
    publish()
    seconds = time.perf_counter() - began
    count = EnrollmentRecord.objects.count()
    rows = [["publish everything", f"{seconds:.1f}", f"{count / seconds:,.0f}"]]
    print_table("OneRoster: the first publication", ["what", "seconds", "enrollments/s"], rows)
    print(f"Then {analyze()}.", flush=True)
    client = _client()
    _measure_pages(client, count)
    _measure_export(count)


def _client() -> APIClient:
    keys = create_api_client("bench OneRoster", "rosters:read")
    client = APIClient(SERVER_NAME=HOST)
    form = {"grant_type": "client_credentials", "client_id": keys.client_id, "client_secret": keys.client_secret}
    token = client.post("/oauth/token", form, format="multipart").json()["access_token"]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def _measure_pages(client: APIClient, count: int) -> None:
    """Read all enrollments, and print the seconds of the first, the last and all pages, and the memory of a page."""
    seconds, found = [], set()
    for offset in range(0, max(count, 1), PAGE):
        began = time.perf_counter()
        answer = _page(client, offset)
        seconds.append(time.perf_counter() - began)
        found |= {each["sourcedId"] for each in answer.json()["enrollments"]}
    if len(found) != count:
        raise Failed(f"The pages have {len(found)} of {count} enrollments.")
    # The memory of a page is measured apart, because measuring it takes time.
    peaks = [_peak_mb(client, offset) for offset in (0, (len(seconds) - 1) * PAGE)]
    half = len(seconds) // 2
    rows = [
        ["first page", f"{seconds[0]:.2f}", f"{peaks[0]:.0f}"],
        ["last page", f"{seconds[-1]:.2f}", f"{peaks[1]:.0f}"],
        ["slowest page", f"{max(seconds):.2f}", ""],
        ["first half of the pages", f"{sum(seconds[:half]):.1f}", ""],
        ["second half of the pages", f"{sum(seconds[half:]):.1f}", ""],
        [f"all {len(seconds)} pages, {count:,} enrollments", f"{sum(seconds):.1f}", ""],
    ]
    print_table(f"OneRoster: enrollments in pages of {PAGE:,}", ["what", "seconds", "peak MB of Python"], rows)


def _page(client: APIClient, offset: int) -> Any:
    answer = client.get(ENROLLMENTS, {"limit": PAGE, "offset": offset})
    if answer.status_code != 200:
        raise Failed(f"{ENROLLMENTS} answers {answer.status_code}: {answer.content[:300]!r}")
    return answer


def _peak_mb(client: APIClient, offset: int) -> float:
    tracemalloc.start()
    try:
        _page(client, offset)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def _measure_export(count: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for version in ("1.1", "1.2"):
            file = Path(folder, f"{version}.zip")
            done = manage("export_oneroster", str(file), "--version", version)
            size = file.stat().st_size / 2**20
            rows.append([f"version {version}", f"{done.seconds:.1f}", f"{done.peak_mb:.0f}", f"{size:.1f}"])
    title = f"`manage.py export_oneroster`, everything, {count:,} enrollments"
    print_table(title, ["what", "seconds", "peak MB", "MB of the zip"], rows)
