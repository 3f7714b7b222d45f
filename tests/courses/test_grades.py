"""The table of grades in the API and the admin, and minimum grades in the prerequisites of courses."""

import pytest

from courses.models import Course, Grade
from tests.support.factories import make_course, make_grade, make_grades
from tests.support.imports import imported, outcomes

pytestmark = pytest.mark.django_db


def faults(answer):
    return [(each["code"], each["field"]) for each in answer.json()["errors"]]


def rows():
    return list(Grade.objects.order_by("pk").values_list("code", "passes", "rank"))


def test_the_api_creates_reads_changes_and_deletes_grades(api):
    made = api.post("/api/v1/grades", {"code": "A+", "passes": True, "rank": 5})
    path = f"/api/v1/grades/{made.json()['id']}"

    assert made.status_code == 201
    assert made["Location"].endswith(path)
    assert made.json() == {"id": Grade.objects.get().pk, "code": "A+", "passes": True, "rank": 5}
    assert api.get("/api/v1/grades/code:A+").json() == made.json()
    assert api.patch("/api/v1/grades/code:A+", {"rank": 6}).json()["rank"] == 6
    assert [each["rank"] for each in api.get("/api/v1/grades").json()["results"]] == [6]
    assert api.delete(path).status_code == 204
    assert api.get(path).json()["code"] == "grade_not_found"
    assert [(each.history_type, each.rank) for each in Grade.history.order_by("history_id")] == [
        ("+", 5),
        ("~", 6),
        ("-", 6),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "A"}, [("unique", "code")]),
        ({"code": "B", "rank": 4}, [("unique", "rank")]),
        ({"code": "E", "rank": -1}, [("min_value", "rank")]),
        ({"code": "E", "rank": "1"}, [("invalid", "rank")]),
        ({"code": "E", "passes": "yes"}, [("invalid", "passes")]),
        ({"code": ""}, [("blank", "code")]),
        ({"code": "x" * 33}, [("max_length", "code")]),
        ({}, [("required", "code")]),
        ({"code": "E", "points": 4}, [("unknown_field", "points")]),
    ],
)
def test_an_invalid_grade_is_refused_by_field(api, body, expected):
    make_grade(code="A", rank=4)
    before = rows()

    answer = api.post("/api/v1/grades", body)

    assert (answer.status_code, faults(answer)) == (409 if expected[0][0] == "unique" else 400, expected)
    assert rows() == before


def test_a_table_in_which_no_grade_passes_is_refused(api):
    first = api.post("/api/v1/grades", {"code": "F", "passes": False})
    assert (first.status_code, faults(first)) == (400, [("no_passing_grade", "passes")])

    make_grades("A", "F")
    changed = api.patch("/api/v1/grades/code:A", {"passes": False})
    deleted = api.delete("/api/v1/grades/code:A")

    assert (changed.status_code, faults(changed)) == (400, [("no_passing_grade", "passes")])
    assert (deleted.status_code, faults(deleted)) == (409, [("no_passing_grade", None)])
    assert rows() == [("A", True, 1), ("F", False, None)]
    assert [api.delete(f"/api/v1/grades/code:{code}").status_code for code in "FA"] == [204, 204]


@pytest.mark.parametrize(
    ("body", "field"), [({"code": "C+"}, "code"), ({"rank": None}, "rank"), ({"passes": False}, "passes")]
)
def test_a_grade_that_prerequisites_require_stays_and_can_be_compared(api, body, field):
    make_grades()
    make_course(code="MATH-1")
    make_course(code="MATH-2", prerequisites=[{"course": "MATH-1", "grade": "C"}])
    message = "C is the minimum grade in the prerequisites of: MATH-2. Change them first."

    changed, deleted = api.patch("/api/v1/grades/code:C", body), api.delete("/api/v1/grades/code:C")

    assert (changed.status_code, faults(changed)) == (400, [("grade_in_use", field)])
    assert (deleted.status_code, deleted.json()["detail"]) == (409, message)
    assert api.patch("/api/v1/grades/code:C", {"rank": 20}).status_code == 200


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"course": "MATH-1", "grade": "E"}], [("unknown_grade", "prerequisites")]),
        ([{"course": "MATH-1", "grade": "F"}], [("invalid", "prerequisites")]),
        ([{"course": "MATH-1", "grade": "P"}], [("invalid", "prerequisites")]),
        ([{"course": "NONE", "grade": "C"}], [("course_not_found", "prerequisites")]),
        ([["MATH-1", "NONE"]], [("course_not_found", "prerequisites")]),
        ([["MATH-1", "NEW"]], [("prerequisite_cycle", "prerequisites")]),
        ([{"course": "NEW", "grade": "C"}], [("prerequisite_cycle", "prerequisites")]),
        ([5], [("invalid", "prerequisites.0")]),
        ([[]], [("min_length", "prerequisites.0")]),
        ([["MATH-1", 5]], [("invalid", "prerequisites.0.1")]),
        ([["MATH-1", ["CS-1"]]], [("invalid", "prerequisites.0.1")]),
        ([{"course": "MATH-1"}], [("required", "prerequisites.0.grade")]),
        ([{"course": "MATH-1", "grade": "C", "x": 1}], [("unknown_field", "prerequisites.0.x")]),
        ([{"course": "", "grade": "C"}], [("blank", "prerequisites.0.course")]),
        ([["x"] * 21], [("max_length", "prerequisites.0")]),
        (["MATH-1"] * 51, [("max_length", "prerequisites")]),
    ],
)
def test_invalid_items_are_refused_by_place(api, items, expected):
    make_grades()
    make_grade(code="P")
    make_course(code="MATH-1")

    body = {"code": "NEW", "name": "New", "level": "advanced", "prerequisites": items}
    answer = api.post("/api/v1/courses", body)

    assert (answer.status_code, faults(answer)) == (400, expected)
    assert Course.objects.filter(code="NEW").count() == 0


def test_the_api_stores_items_as_they_were_sent_and_each_once(api):
    make_grades()
    for code in ("MATH-1", "CS-1", "CS-2"):
        make_course(code=code)
    items = ["MATH-1", ["CS-1", "CS-2"], {"course": "MATH-1", "grade": "C"}]
    body = {"code": "NEW", "name": "New", "level": "advanced"}

    answer = api.post("/api/v1/courses", {**body, "prerequisites": [*items, ["CS-1", "CS-1"], *items]})

    assert (answer.status_code, answer.json()["prerequisites"]) == (201, [*items, "CS-1"])
    assert api.get("/api/v1/courses/code:NEW").json()["prerequisites"] == [*items, "CS-1"]


def test_the_check_for_cycles_follows_alternatives(api):
    make_course(code="A")
    make_course(code="B", prerequisites=[["X", "A"]])
    make_course(code="C", prerequisites=[{"course": "B", "grade": "C"}])

    answer = api.patch("/api/v1/courses/code:A", {"prerequisites": [["C", "B"]]})

    message = "These courses would be prerequisites of themselves: A ← B ← A."
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, message)


def test_a_new_code_replaces_the_old_one_in_every_item(api):
    make_course(code="A")
    requiring = make_course(code="B", prerequisites=["A", ["A", "C"], {"course": "A", "grade": "A"}])

    assert api.patch("/api/v1/courses/code:A", {"code": "Z"}).status_code == 200

    requiring.refresh_from_db()
    assert requiring.prerequisites == ["Z", ["Z", "C"], {"course": "Z", "grade": "A"}]


def test_a_course_that_is_an_alternative_cannot_be_deleted(api):
    make_course(code="A")
    make_course(code="B", prerequisites=[["A", "C"]])

    assert api.delete("/api/v1/courses/code:A").json()["code"] == "is_prerequisite"


COURSES = "course_code,name,level,prerequisites\n"


@pytest.mark.parametrize(
    "cell", ["MATH-1 CS-1|CS-2 STAT-2>=C", '"MATH-1, CS-1|CS-2, STAT-2>=C"', '"MATH-1\nCS-1 | CS-2\nSTAT-2 >= C"']
)
def test_a_file_has_items_of_every_shape_and_its_second_import_changes_nothing(cell):
    make_grades()
    codes = ("MATH-1", "CS-1", "CS-2", "STAT-2")
    text = COURSES + f"NEW,New,advanced,{cell}\n" + "".join(f"{code},Name,advanced,\n" for code in codes)

    first, second = (imported(text, kind="courses", again=again) for again in (False, True))

    assert [outcome for _row, outcome, _codes in outcomes(first)] == ["created"] * 5
    assert [outcome for _row, outcome, _codes in outcomes(second)] == ["unchanged"] * 5
    assert Course.objects.get(code="NEW").prerequisites == [
        "MATH-1",
        ["CS-1", "CS-2"],
        {"course": "STAT-2", "grade": "C"},
    ]


def test_codes_in_a_file_may_be_separated_by_blanks_alone():
    text = COURSES + "NEW,New,advanced,MATH 1 \nMATH 1,Name,advanced,CS-1 CS-2\nCS-1,N,advanced,\nCS-2,N,advanced,\n"

    for again in (False, True):
        job = imported(text, kind="courses", again=again)

    assert [outcome for _row, outcome, _codes in outcomes(job)] == ["unchanged"] * 4
    assert dict(Course.objects.values_list("code", "prerequisites")) == {
        "NEW": ["MATH 1"],
        "MATH 1": ["CS-1", "CS-2"],
        "CS-1": [],
        "CS-2": [],
    }


@pytest.mark.parametrize(
    ("cell", "code"),
    [("CS-1|", "invalid_prerequisite"), ("CS-1>=E", "unknown_grade"), ("CS-1|NONE", "course_not_found")],
)
def test_an_invalid_item_in_a_file_is_an_error_of_its_row(cell, code):
    make_grades()
    make_course(code="CS-1")

    job = imported(f"{COURSES}NEW,New,advanced,{cell}\n", kind="courses")

    assert outcomes(job) == [(2, "error", [code])]
    assert Course.objects.count() == 1


def test_the_admin_edits_items_of_every_shape(registrar_client):
    make_grades()
    for code in ("MATH-1", "CS-1", "CS-2"):
        make_course(code=code)
    course = make_course(code="NEW", name="New")
    url = f"/admin/courses/course/{course.pk}/change/"
    form = {"code": "NEW", "name": "New", "level": "introductory", "is_active": "on"}

    registrar_client.post(url, {**form, "prerequisites": "MATH-1 CS-1|CS-2 MATH-1>=C"})
    course.refresh_from_db()
    assert course.prerequisites == ["MATH-1", ["CS-1", "CS-2"], {"course": "MATH-1", "grade": "C"}]
    page = registrar_client.get(f"{url}?tab=form").content.decode()
    assert 'value="MATH-1, CS-1|CS-2, MATH-1&gt;=C"' in page
    assert "MATH-1, CS-1 or CS-2, MATH-1 with the grade C or better" in page

    refused = registrar_client.post(url, {**form, "prerequisites": "CS-1||CS-2"})
    assert [*refused.context["adminform"].form.errors] == ["prerequisites"]
    unknown = registrar_client.post(url, {**form, "prerequisites": "CS-1>=E"})
    assert unknown.context["adminform"].form.errors == {"prerequisites": ["E is not in the table of grades."]}


GRADES = "/admin/courses/grade/"


def test_the_admin_adds_changes_and_deletes_grades(registrar_client):
    refused = registrar_client.post(f"{GRADES}add/", {"code": "F", "rank": ""})
    assert refused.context["adminform"].form.errors == {"passes": ["At least one grade of the table must pass."]}

    registrar_client.post(f"{GRADES}add/", {"code": "A", "passes": "on", "rank": "4"})
    registrar_client.post(f"{GRADES}add/", {"code": "F", "rank": ""})
    assert rows() == [("A", True, 4), ("F", False, None)]
    same = registrar_client.post(f"{GRADES}add/", {"code": "B", "passes": "on", "rank": "4"})
    assert same.context["adminform"].form.errors == {"rank": ["Another grade has this rank already."]}
    best = Grade.objects.get(code="A")
    changed = registrar_client.post(f"{GRADES}{best.pk}/change/", {"code": "A", "rank": "4"})
    assert [*changed.context["adminform"].form.errors] == ["passes"]

    kept = registrar_client.post(f"{GRADES}{best.pk}/delete/", {"post": "yes"})
    assert "At least one grade of the table must pass." in kept.content.decode()
    form = {"action": "delete_selected", "_selected_action": [each.pk for each in Grade.objects.all()], "post": "yes"}
    registrar_client.post(GRADES, form)
    assert rows() == []


def test_viewers_see_grades_and_cannot_change_them(client, viewer):
    make_grades()
    client.force_login(viewer)

    assert client.get(GRADES).status_code == 200
    assert client.get(f"{GRADES}add/").status_code == 403
