"""
Staff with ``own_courses_only`` and each other group: each admin address, with an own row and a row of another
course.

The addresses come from the URL configuration, and the models from the admin registry: a new admin or a new page without
an entry fails. The signs are those of ``tests.security.test_admin_access``.
"""

from io import BytesIO
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core import serializers
from django.test import Client, RequestFactory

from bulk.models import Import
from courses.models import Course, CourseStaff, Term
from school.models import ApiClient
from students.models import EnrollmentEvent, Status, Student, StudentCourse
from tests.security.test_admin_access import FOREIGN, World, ask, routes
from tests.support.factories import make_course
from tests.support.forms import form_in

pytestmark = pytest.mark.django_db

GROUPS = ("Registrar", "Viewer", "Auditor")
ROLES = (*GROUPS, "every group", "every permission")

# The models that such staff can neither view nor change, regardless of their groups.
CLOSED = {
    "auth/group/",
    "auth/user/",
    "axes/accessattempt/",
    "bulk/import/",
    "courses/coursestaff/",
    "oauth2_provider/accesstoken/",
    "oauth2_provider/grant/",
    "oauth2_provider/idtoken/",
    "oauth2_provider/refreshtoken/",
    "students/hold/",
    "school/apiclient/",
    "school/personaldataaccess/",
    "webhooks/attempt/",
    "webhooks/endpoint/",
}

# fmt: off
TABLE = [
    # route                                             own: GET POST     foreign: GET POST
    ("",                                                "+++++", "+++++", "+++++", "+++++"),
    ("<app>/",                                          "+++++", "+++++", "+++++", "+++++"),
    ("<nowhere>",                                       "?????", "?????", "?????", "?????"),
    ("access/",                                         ".....", ".....", ".....", "....."),
    ("autocomplete/",                                   ".....", "xxxxx", ".....", "xxxxx"),
    ("courses/course/",                                 "+++++", "+++++", "+++++", "+++++"),
    ("courses/course/<id>/",                            ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("courses/course/<id>/addresses/",                  "xxxxx", "++.++", "xxxxx", "?????"),
    ("courses/course/<id>/cancel/",                     "+..++", "+..++", "?..??", "?..??"),
    ("courses/course/<id>/cancel-undo/",                ".....", ".....", ".....", "....."),
    ("courses/course/<id>/change/",                     "+++++", "+..++", "-----", "-..--"),
    ("courses/course/<id>/delete/",                     ".....", ".....", ".....", "....."),
    ("courses/course/<id>/enroll/",                     ">..>>", "+..++", "?????", "?????"),
    ("courses/course/<id>/grades/",                     "+++++", "+++++", "?????", "?????"),
    ("courses/course/<id>/history/",                    "+++++", "+++++", "-----", "-----"),
    ("courses/course/<id>/history/<version>/",          "+++++", "+..++", "-----", "-----"),
    ("courses/course/<id>/roster.csv",                  "+++++", "+++++", "?????", "?????"),
    ("courses/course/<id>/roster/",                     "+++++", "+++++", "?????", "?????"),
    ("courses/course/<id>/staff/",                      ".....", ".....", ".....", "....."),
    ("courses/course/add/",                             ".....", ".....", ".....", "....."),
    ("courses/course/export/",                           "+++++", "+++++", "+++++", "+++++"),
    ("courses/grade/",                                   "++.++", "++.++", "++.++", "++.++"),
    ("courses/grade/<id>/",                             ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("courses/grade/<id>/change/",                       "++.++", ".....", "++.++", "....."),
    ("courses/grade/<id>/delete/",                      ".....", ".....", ".....", "....."),
    ("courses/grade/<id>/history/",                      "++.++", "++.++", "++.++", "++.++"),
    ("courses/grade/<id>/history/<version>/",            "++.++", ".....", "++.++", "....."),
    ("courses/grade/export/",                            "++.++", "++.++", "++.++", "++.++"),
    ("courses/grade/add/",                              ".....", ".....", ".....", "....."),
    ("courses/term/",                                   "+++++", "+++++", "+++++", "+++++"),
    ("courses/term/<id>/",                              ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("courses/term/<id>/change/",                       "+++++", ".....", "-----", "....."),
    ("courses/term/<id>/delete/",                       ".....", ".....", ".....", "....."),
    ("courses/term/<id>/history/",                      "+++++", "+++++", "-----", "-----"),
    ("courses/term/<id>/history/<version>/",            "+++++", ".....", "-----", "-----"),
    ("courses/term/add/",                               ".....", ".....", ".....", "....."),
    ("courses/term/<id>/copy-courses/",                 ".....", ".....", ".....", "....."),
    ("courses/term/export/",                             "+++++", "+++++", "+++++", "+++++"),
    ("jsi18n/",                                         "+++++", "xxxxx", "+++++", "xxxxx"),
    ("login/",                                          "-----", "+++++", "-----", "+++++"),
    ("logout/",                                         "xxxxx", "+++++", "xxxxx", "+++++"),
    ("oneroster/",                                      ".....", ".....", ".....", "....."),
    ("password_change/",                                "+++++", "+++++", "+++++", "+++++"),
    ("password_change/done/",                           "+++++", "xxxxx", "+++++", "xxxxx"),
    ("r/<path:content_type_id>/<id>/",                  "?????", "?????", "?????", "?????"),
    ("search/",                                         "+++++", "+++++", "+++++", "+++++"),
    ("manual/<path:name>",                               "+++++", "+++++", "+++++", "+++++"),
    ("students/enrollmentevent/",                       "+++++", "+++++", "+++++", "+++++"),
    ("students/enrollmentevent/<id>/",                  ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("students/enrollmentevent/<id>/change/",           "+++++", ".....", "-----", "....."),
    ("students/enrollmentevent/<id>/delete/",           ".....", ".....", ".....", "....."),
    ("students/enrollmentevent/<id>/history/",          "+++++", "+++++", "-----", "-----"),
    ("students/enrollmentevent/add/",                   ".....", ".....", ".....", "....."),
    ("students/refusedact/",                            "++.++", "++.++", "++.++", "++.++"),
    ("students/refusedact/<id>/",                       ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("students/refusedact/<id>/change/",                "++.++", ".....", "--.--", "....."),
    ("students/refusedact/<id>/delete/",                ".....", ".....", ".....", "....."),
    ("students/refusedact/<id>/history/",               "++.++", "++.++", "-----", "-----"),
    ("students/refusedact/add/",                        ".....", ".....", ".....", "....."),
    ("students/student/",                               "++.++", "++.++", "++.++", "++.++"),
    ("students/student/<id>/",                          ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("students/student/<id>/change/",                   "++.++", ".....", "--.--", "....."),
    ("students/student/<id>/delete/",                   ".....", ".....", ".....", "....."),
    ("students/student/<id>/enroll/",                   ">..>>", "+..++", "?????", "?????"),
    ("students/student/<id>/history/",                  "++.++", "++.++", "--.--", "--.--"),
    ("students/student/<id>/history/<version>/",        "++.++", ".....", "--.--", "--.--"),
    ("students/student/<id>/personal-data/",            ".....", ".....", ".....", "....."),
    ("students/student/<id>/personal-data/erase/",      ".....", ".....", "?????", "?????"),
    ("students/student/<id>/personal-data/export/",     ".....", ".....", "?????", "?????"),
    ("students/student/add/",                           ".....", ".....", ".....", "....."),
    ("students/student/export/",                         "++.++", "++.++", "++.++", "++.++"),
    ("students/studentcourse/",                         "+++++", "+++++", "+++++", "+++++"),
    ("students/studentcourse/<id>/",                    ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("students/studentcourse/<id>/change/",             "+++++", ".....", "-----", "....."),
    ("students/studentcourse/<id>/delete/",             ".....", ".....", ".....", "....."),
    ("students/studentcourse/<id>/history/",            "+++++", "+++++", "-----", "-----"),
    ("students/studentcourse/act/",                     ">>>>>", ">>>>>", ">>>>>", ">>>>>"),
    ("students/studentcourse/acts/<slug:request_id>/",  "?????", "?????", "?????", "?????"),
    ("students/studentcourse/add/",                     "+..++", "+..++", "+..++", "+..++"),
    ("students/studentcourse/enroll-many/",             "+..++", "+..++", "+..++", "+..++"),
    ("students/studentcourse/export/",                   "+++++", "+++++", "+++++", "+++++"),
    ("students/studentcourse/export-as-of/",             "+++++", "+++++", "+++++", "+++++"),
]
# fmt: on


def is_closed(route):
    return route.startswith(tuple(CLOSED))


@pytest.fixture
def restricted_users(db):
    people = {}
    for role in ROLES:
        people[role] = user = User.objects.create_user(role, is_staff=True)
        names = {"every group": GROUPS, "every permission": ()}.get(role, (role,))
        user.groups.set(Group.objects.filter(name__in=["Course staff", *names]))
        if role == "every permission":
            user.user_permissions.set(Permission.objects.all())
    return people


@pytest.fixture
def worlds(restricted_users, actor):
    own = World("OWN", restricted_users["every permission"], actor)
    foreign = World("FOREIGN", User.objects.create_user("another sender"), actor)
    for user in restricted_users.values():
        CourseStaff.objects.create(course_id=own.ids["courses/course"], user=user)
    return own, foreign


@pytest.fixture
def clients(restricted_users):
    clients = {role: Client(raise_request_exception=False) for role in ROLES}
    for role, client in clients.items():
        client.force_login(restricted_users[role])
    return clients


def test_every_admin_page_has_an_entry_in_the_table():
    models = {f"{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry}
    listed = {route for route, *_signs in TABLE}

    assert models >= CLOSED
    assert models - CLOSED <= listed
    assert {route for route in routes() if not is_closed(route)} == listed


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_page_matches_the_table_and_names_no_other_course(worlds, clients, method):
    own, foreign = worlds
    column = 1 if method == "GET" else 2
    expected = {row[0]: (row[column], row[column + 2]) for row in TABLE}
    found, opened, leaks = {}, [], []

    for route in sorted(set(routes())):
        signs = {}
        for world in (own, foreign):
            answers = [ask(clients[role], world, route, method) for role in ROLES]
            signs[world.name] = "".join(sign for sign, _text in answers)
            leaks += [(route, role) for role, (_sign, text) in zip(ROLES, answers, strict=True) if FOREIGN.search(text)]
        if not is_closed(route):
            found[route] = (signs["OWN"], signs["FOREIGN"])
        elif not set("".join(signs.values())) <= (set(">") if route.endswith("/<id>/") else set(".?-x")):
            opened.append((route, signs))

    assert leaks == []
    assert opened == []
    assert found == expected


# Values that a form can send


def test_no_form_lists_a_row_of_another_course(worlds, restricted_users):
    own, _foreign = worlds
    offered, inlines = {}, []
    for role, user in restricted_users.items():
        request = RequestFactory().get("/")
        request.user = user
        for model, desk in admin.site._registry.items():
            if not (desk.has_add_permission(request) or desk.has_change_permission(request)):
                continue
            inlines += desk.get_inline_instances(request)
            for name, field in desk.get_form(request)().fields.items():
                if hasattr(field, "queryset"):
                    offered[role, model._meta.label, name] = list(field.queryset.values_list("pk", flat=True))

    term, course, student = (own.ids[f"{name}"] for name in ("courses/term", "courses/course", "students/student"))
    fields = {
        ("courses.Course", "term"): [term],
        ("students.StudentCourse", "student"): [student],
        ("students.StudentCourse", "course"): [course],
        ("students.StudentCourse", "instead_of"): [course],
    }
    writers = ("Registrar", "every group", "every permission")
    assert offered == {(role, *field): pks for role in writers for field, pks in fields.items()}
    assert inlines == []


def test_list_filters_contain_only_the_terms_of_own_courses(worlds, clients):
    pages = ("courses/course/", "students/studentcourse/", "students/refusedact/")
    found = [clients["Registrar"].get(f"/admin/{page}").content.decode() for page in pages]

    assert [("OWN-T" in text, "FOREIGN-T" in text) for text in found] == [(True, False)] * 3


WATCHED = (Term, Course, CourseStaff, Student, StudentCourse, EnrollmentEvent, Import, ApiClient, User, Group)


def all_rows():
    """Return all rows that a forged request could write."""
    rows = [row for model in WATCHED for row in model._base_manager.order_by("pk")]
    return serializers.serialize("json", rows) + str(list(Permission.objects.values_list("pk", "user", "group")))


def requests_to_forge(own, foreign, user):
    """Yield admin addresses, each with the data of a forged form."""
    mine, theirs = own.ids, foreign.ids
    course = {"code": "NEW", "name": "New", "level": "graduate", "term": mine["courses/term"], "waitlist_capacity": 0}
    student = {"student_number": "NEW", "given_name": "Ada", "family_name": "Byron", "is_active": "on"}
    term = {"code": "NEW", "name": "New", "starts_on": "2026-01-01", "ends_on": "2026-12-31"}
    staff = {"staff_of-TOTAL_FORMS": 1, "staff_of-INITIAL_FORMS": 0, "staff_of-0-course": theirs["courses/course"]}
    yield "courses/course/add/", course
    yield f"courses/course/{mine['courses/course']}/change/", course | {"term": theirs["courses/term"]}
    yield f"courses/course/{theirs['courses/course']}/change/", course
    yield f"courses/course/{theirs['courses/course']}/history/{foreign.versions['courses/course']}/", course
    yield "courses/term/add/", term
    yield f"courses/term/{mine['courses/term']}/change/", term
    yield f"courses/term/{mine['courses/term']}/history/{own.versions['courses/term']}/", term
    for pk in (mine["courses/course"], theirs["courses/course"]):
        yield "courses/coursestaff/add/", {"course": pk, "user": user.pk}
        yield f"courses/course/{pk}/delete/", {"post": "yes"}
    yield f"auth/user/{user.pk}/change/", {"username": user.username, "is_superuser": "on", **staff}
    yield "auth/user/add/", {"username": "new", "password1": "open sesame 1", "password2": "open sesame 1"}
    yield f"auth/user/{user.pk}/password/", {"password1": "open sesame 1", "password2": "open sesame 1"}
    yield f"auth/group/{mine['auth/group']}/change/", {"name": "Renamed"}
    yield "students/student/add/", student
    for world in (own, foreign):
        pk = world.ids["students/student"]
        yield f"students/student/{pk}/change/", student
        yield f"students/student/{pk}/delete/", {"post": "yes"}
        yield f"students/student/{pk}/history/{world.versions['students/student']}/", student
        yield f"students/student/{pk}/personal-data/export/", {"format": "json"}
        yield f"students/student/{pk}/personal-data/erase/", {"reason": "x", "number": f"{world.name}-S"}
        for verb in ("approve", "cancel", "undo"):
            yield f"bulk/import/{world.ids['bulk/import']}/{verb}/", {}
        for action in ("activate", "deactivate", "delete_selected"):
            chosen = {"action": action, "_selected_action": [pk], "post": "yes", "step": "confirm", "shown": "x"}
            yield "students/student/", chosen
    file = BytesIO(b"student_number,course_code\nOWN-S,OWN-C\n")
    file.name = "enrollments.csv"
    options = {"kind": "enrollments", "on_error": "skip", "mode": "delta", "dataset": "forged"}
    yield "bulk/import/add/", {"file": file, **options}
    pairs = [("students/student", mine, theirs), ("students/student", theirs, mine)]
    for _name, of_student, of_course in pairs:
        student_id, course_id = of_student["students/student"], of_course["courses/course"]
        yield "students/studentcourse/add/", {"student": student_id, "course": course_id}
        yield f"courses/course/{course_id}/enroll/", {"student": student_id}
        yield f"students/student/{student_id}/enroll/", {"course": course_id}
        number = "OWN-S" if of_student is mine else "FOREIGN-S"
        code = "OWN-C" if of_course is mine else "FOREIGN-C"
        for many in (
            {"side": "course", "one": course_id, "text": number},
            {"side": "course", "one": course_id, "picked": [student_id]},
            {"side": "student", "one": student_id, "text": code},
            {"side": "student", "one": student_id, "picked": [course_id]},
        ):
            yield "students/studentcourse/enroll-many/", many | {"step": "confirm", "shown": "x"}
    for pk in (mine["courses/course"], theirs["courses/course"]):
        grades = {f"grade:{theirs['students/studentcourse']}": "A", "text": "FOREIGN-S A"}
        yield f"courses/course/{pk}/grades/", {**grades, "step": "confirm", "shown": "x"}
    chosen = theirs["students/studentcourse"]
    for action in ("drop", "complete", "undo", "promote"):
        yield "students/studentcourse/act/", {"action": action, "chosen": [chosen], "step": "confirm", "shown": "x"}
        yield "students/studentcourse/", {"action": action, "_selected_action": [chosen], "step": "confirm"}
    for action in ("activate", "deactivate", "delete_selected"):
        pk = theirs["courses/course"]
        chosen = {"action": action, "_selected_action": [pk], "post": "yes", "step": "confirm", "shown": "x"}
        yield "courses/course/", chosen


@pytest.mark.parametrize("role", ["Registrar", "every permission"])
def test_a_forged_form_writes_nothing_and_names_no_other_course(worlds, restricted_users, clients, role):
    own, foreign = worlds
    before, wrote, leaks = all_rows(), [], []

    for address, form in requests_to_forge(own, foreign, restricted_users[role]):
        answer = clients[role].post(f"/admin/{address}", form)
        sent = str(form.get("text", ""))
        text = b"".join(answer) if answer.streaming else answer.content
        shown = text.decode().replace("There is no student number:FOREIGN-S.", "").replace(sent or "\0", "")
        leaks += [address] if FOREIGN.search(shown) else []
        if (after := all_rows()) != before:
            wrote.append((address, form))
            before = after

    assert wrote == []
    assert leaks == []


@pytest.mark.parametrize("word", ["FOREIGN-C", "FOREIGN-S", "FOREIGN"])
def test_the_search_finds_no_other_course_and_no_student_of_it(worlds, clients, word):
    page = clients["every permission"].get("/admin/search/", {"s": word}).content.decode()

    assert FOREIGN.search(page.replace(word, "", 1) if word in page else page) is None


@pytest.mark.parametrize(
    ("model", "field", "found"), [("student", "student", "students/student"), ("course", "course", "courses/course")]
)
def test_autocomplete_returns_only_own_rows(worlds, clients, model, field, found):
    query = {"app_label": "students", "model_name": "studentcourse", "field_name": field}

    answer = clients["every permission"].get("/admin/autocomplete/", query).json()

    assert [each["id"] for each in answer["results"]] == [str(worlds[0].ids[found])]


# Allowed actions of such staff


def test_a_registrar_of_own_courses_can_change_an_own_course_and_its_roster(worlds, clients, restricted_users):
    own, _foreign = worlds
    desk, pk = clients["Registrar"], own.ids["courses/course"]
    other = make_course(code="OTHER", term_id=own.ids["courses/term"])
    CourseStaff.objects.create(course=other, user=restricted_users["Registrar"])
    form = form_in(desk.get(f"/admin/courses/course/{pk}/change/?tab=form"), "course_form")

    changed = desk.post(f"/admin/courses/course/{pk}/change/", form | {"capacity": "7"})
    enrolled = desk.post(
        "/admin/students/studentcourse/add/", {"student": own.ids["students/student"], "course": other.pk}
    )
    chosen = {"action": "drop", "chosen": [own.ids["students/studentcourse"]]}
    page = desk.post("/admin/students/studentcourse/act/", chosen)
    desk.post("/admin/students/studentcourse/act/", chosen | {"step": "confirm", "shown": page.context["fingerprint"]})

    assert (changed.status_code, enrolled.status_code) == (302, 302)
    assert Course.objects.get(pk=pk).capacity == 7
    assert {row.course.code: row.status for row in StudentCourse.objects.filter(course__in=[pk, other.pk])} == {
        "OWN-C": Status.DROPPED,
        "OTHER": Status.ENROLLED,
    }


def test_a_superuser_is_never_limited(worlds, restricted_users):
    user = restricted_users["every permission"]
    user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)

    found = client.get("/admin/courses/course/?rows=all").context["cl"].result_list

    assert sorted(course.code for course in found) == ["FOREIGN-C", "OWN-C"]
    assert client.get("/admin/courses/coursestaff/add/").status_code == 200


# The same session over the API


def statuses_of(client: Any, requests: list[tuple[str, str, Any]]) -> list[int]:
    return [
        getattr(client, method)(f"/api/v1/{path}", body, content_type="application/json").status_code
        for method, path, body in requests
    ]


@pytest.mark.parametrize("role", ["Registrar", "every permission"])
def test_the_api_forbids_a_session_the_same_as_the_admin(worlds, clients, role):
    own, foreign = ({kind.split("/")[1]: pk for kind, pk in world.ids.items()} for world in worlds)
    student = {"student_number": "NEW", "given_name": "Ada", "family_name": "Byron"}
    course = {"code": "NEW", "name": "New", "level": "graduate", "term": "OWN-T"}
    before = all_rows()

    found = statuses_of(
        clients[role],
        [
            ("post", "students", student),
            ("patch", f"students/{own['student']}", {"email": ""}),
            ("delete", f"students/{own['student']}", None),
            ("post", "courses", course),
            ("delete", f"courses/{own['course']}", None),
            ("patch", f"courses/{foreign['course']}", {"capacity": 1}),
            ("patch", f"terms/{own['term']}", {"name": "New"}),
            ("get", "imports", None),
            ("get", f"imports/{own['import']}", None),
            ("post", f"imports/{own['import']}/cancel", {}),
            ("post", f"students/{foreign['student']}/courses", {"course_id": own["course"]}),
            ("post", "students/number:FOREIGN-S/courses", {"course_id": own["course"]}),
            ("post", f"students/{own['student']}/courses", {"course_id": foreign["course"]}),
        ],
    )

    assert found == [403, 403, 403, 403, 403, 404, 403, 403, 403, 403, 404, 404, 404]
    assert all_rows() == before


def test_a_batch_of_a_session_enrolls_only_students_of_own_courses(worlds, restricted_users, clients, actor):
    own, foreign = worlds
    other = make_course(code="OTHER", term_id=own.ids["courses/term"])
    CourseStaff.objects.create(course=other, user=restricted_users["Registrar"])
    students = [
        {"student_id": own.ids["students/student"]},
        {"student_id": foreign.ids["students/student"]},
        {"student_number": "FOREIGN-S"},
    ]
    items = [{"action": "enroll", "course_id": other.pk, **each} for each in students]

    answer = clients["Registrar"].post("/api/v1/enrollments/batch", {"items": items}, content_type="application/json")

    outcomes = [(each["status"], each["code"]) for each in answer.json()["outcomes"]]
    assert outcomes == [("created", None), *[("not_found", "student_not_found")] * 2]
    assert [row.student_id for row in StudentCourse.objects.filter(course=other)] == [own.ids["students/student"]]
