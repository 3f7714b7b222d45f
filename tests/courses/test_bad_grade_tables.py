"""An invalid table of grades is refused at every entry point, by code and field, and stays as it was."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from rest_framework.test import APIClient

from bulk.importers.import_parts import parts_of
from bulk.jobs.import_actions import start_undo
from bulk.models import Import, ImportChannel
from bulk.reports import Report
from courses.models import Grade
from tests.support.factories import make_grade
from tests.support.imports import commanded, fault_of_row, imported, uploaded, worked_on

pytestmark = pytest.mark.django_db

# The status of the answer, or the number of the row of a report, and the codes and fields of the errors.
Answer = tuple[int, list[tuple[str, str | None]]]
EntryPoint = Callable[[APIClient, Client, dict[str, Any]], Answer]
GRADES = "/admin/courses/grade/"


def existing(values: dict[str, Any]) -> Grade:
    return Grade.objects.get(code=values["code"])


def errors_of(answer: Any) -> Answer:
    return answer.status_code, [(each["code"], each["field"]) for each in answer.json()["errors"]]


def post(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    return errors_of(api.post("/api/v1/grades", values))


def patch(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    return errors_of(api.patch(f"/api/v1/grades/code:{values['code']}", values))


def text_of_file(values: dict[str, Any]) -> str:
    cells = (values["code"], str(values["passes"]).lower(), "" if values["rank"] is None else str(values["rank"]))
    return f"grade,passes,rank\n{','.join(cells)}\n"


def command(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    number, errors = fault_of_row(commanded("grades", text_of_file(values)))
    return number, [*errors]


def upload(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    number, errors = fault_of_row(uploaded(api, "grades", text_of_file(values)))
    return number, [*errors]


def _form(desk: Client, path: str, values: dict[str, Any]) -> Answer:
    form = {"code": values["code"], "rank": "" if values["rank"] is None else values["rank"]}
    page = desk.post(f"{GRADES}{path}", {**form, **({"passes": "on"} if values["passes"] else {})})
    errors = page.context["adminform"].form.errors.as_data()
    return 400, [(each.code, field) for field, them in errors.items() for each in them]


def form_to_add(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    return _form(desk, "add/", values)


def form_to_change(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    return _form(desk, f"{existing(values).pk}/change/", values)


def form_to_restore(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    grade = existing(values)
    return _form(desk, f"{grade.pk}/history/{grade.history.latest().pk}/", values)


CREATING = (post, command, upload, form_to_add)
CHANGING = (patch, command, upload, form_to_change, form_to_restore)


def table() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Grade, Grade.history.model)]


def check(entry_point, api, desk, values, code, field):
    before = table()

    status, errors = entry_point(api, desk, values)

    expected = 409 if code == "unique" and entry_point in (post, patch) else 400
    assert (status, errors) == (2 if entry_point in (command, upload) else expected, [(code, field)])
    assert table() == before


@pytest.mark.parametrize("entry_point", CREATING)
def test_a_new_grade_with_the_rank_of_another_one_is_refused(entry_point, api, registrar_client):
    make_grade(code="A", rank=4)

    check(entry_point, api, registrar_client, {"code": "B", "passes": True, "rank": 4}, "unique", "rank")


@pytest.mark.parametrize("entry_point", CHANGING)
def test_a_changed_grade_with_the_rank_of_another_one_is_refused(entry_point, api, registrar_client):
    make_grade(code="A", rank=4)
    make_grade(code="B", rank=3)

    check(entry_point, api, registrar_client, {"code": "B", "passes": True, "rank": 4}, "unique", "rank")


@pytest.mark.parametrize("entry_point", CREATING)
def test_a_first_grade_that_does_not_pass_is_refused(entry_point, api, registrar_client):
    check(
        entry_point, api, registrar_client, {"code": "F", "passes": False, "rank": None}, "no_passing_grade", "passes"
    )


@pytest.mark.parametrize("entry_point", CHANGING)
def test_the_last_passing_grade_goes_on_passing(entry_point, api, registrar_client):
    make_grade(code="A", rank=4)
    make_grade(code="F", passes=False)

    check(entry_point, api, registrar_client, {"code": "A", "passes": False, "rank": 4}, "no_passing_grade", "passes")


def delete(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    return errors_of(api.delete(f"/api/v1/grades/code:{values['code']}"))


def delete_in_admin(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    path = f"{GRADES}{existing(values).pk}/delete/"
    return _kept(desk.get(path), desk.post(path, {"post": "yes"}))


def delete_selected(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    form = {"action": "delete_selected", "_selected_action": [existing(values).pk]}
    return _kept(desk.post(GRADES, form), desk.post(GRADES, {**form, "post": "yes"}))


def _kept(*pages: Any) -> Answer:
    """Return the answer of a page that asks for a confirmation, and of one that was confirmed: both name the reason."""
    for page in pages:
        texts = [*page.context["protected"], *map(str, get_messages(page.wsgi_request))]
        assert "At least one grade of the table must pass." in texts
    return 409, [("no_passing_grade", None)]


def undo_of_import(api: APIClient, desk: Client, values: dict[str, Any]) -> Answer:
    """Undo the only import."""
    job = worked_on(start_undo(Import.objects.get().pk, channel=ImportChannel.API, request_id="u"))
    [part] = parts_of(job)
    results = [result for _raw, result in Report(job, part).rows()]
    assert {result.outcome for result in results} <= {"kept", "error"}
    return 409, [(code, field or None) for result in results for code, field, _message in result.errors]


@pytest.mark.parametrize("entry_point", [delete, delete_in_admin, delete_selected, undo_of_import])
def test_the_last_passing_grade_stays(entry_point, api, registrar_client):
    imported("grade,passes,rank\nA,true,4\n", kind="grades")
    make_grade(code="F", passes=False)
    before = table()

    answer = entry_point(api, registrar_client, {"code": "A"})

    assert answer == (409, [("no_passing_grade", None)])
    assert table() == before


def test_the_undo_of_an_import_gives_no_grade_the_rank_of_another_one(api, registrar_client):
    make_grade(code="A", rank=4)
    imported("grade,passes,rank\nA,true,5\n", kind="grades")
    make_grade(code="B", rank=4)
    before = table()

    _status, errors = undo_of_import(api, registrar_client, {})

    assert errors == [("unique", "rank")]
    assert table() == before


def test_a_file_cannot_give_two_new_grades_one_rank(api, registrar_client):
    job = imported("grade,passes,rank\nA,true,4\nB,true,4\n", kind="grades")

    assert (job.state, Grade.objects.count()) == ("failed", 0)
