"""A row may have half a million cells, or one of 100 kB: its page and report stay small and fast."""

import json
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client

from bulk.reports import _unique_keys
from tests.support.imports import imported

pytestmark = pytest.mark.django_db

HEADER = "student_number,course_code,reason\n"
ROWS = {"cells": "S-1,A," + "," * 400_000 + "z\n", "a cell": f"S-1,A,{'<' * 100_000}\n"}


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_import_page_shows_the_beginning_of_a_row(root, row):
    job = imported(HEADER + row * 2, on_error="skip")

    page = root.get(f"/admin/bulk/import/{job.pk}/change/")

    assert (page.status_code, "S-1" in page.content.decode(), len(page.content) < 200_000) == (200, True, True)


def test_the_report_of_a_row_with_many_cells_is_built_in_linear_time(api, root):
    job = imported(HEADER + ROWS["cells"], on_error="skip")
    before = time.process_time()

    [row] = json.loads(b"".join(root.get(f"/api/v1/imports/{job.pk}/report")))

    assert time.process_time() - before < 10  # half an hour in quadratic time
    assert (len(row["cells"]), row["cells"]["column 400003"]) == (400_003, "z")


def test_the_keys_of_cells_are_unique():
    assert _unique_keys(["a", "", "a", "column 5", ""]) == [
        *("a", "column 2", "a (column 3)", "column 5"),
        "column 5 (column 5)",
    ]
