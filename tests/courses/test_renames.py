"""Renaming and deleting courses that other courses have as a prerequisite, at every entry point."""

from itertools import permutations

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from bulk.jobs.processing import process_import
from bulk.models import Import
from courses.api_client_creation import create_api_client
from courses.models import Course, Term
from courses.prerequisites import MAX_SHOWN_COURSES, check_prerequisites, deletion_refusals, rename_in_prerequisites
from school.models import ApiClient
from students.enrollment import complete, enroll
from students.enrollment.commands import OnFull
from students.models import StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


def form_of(course, code):
    """Return the form data of a course with another code."""
    codes = ", ".join(course.prerequisites)
    form = {"code": code, "name": course.name, "level": course.level, "is_active": "on", "prerequisites": codes}
    return {**form, "term": course.term_id} if course.term_id else form


@pytest.fixture
def intro():
    return make_course(code="INTRO")


@pytest.fixture
def advanced(intro):
    return make_course(code="ADV", prerequisites=["INTRO"])


def worked_on(answer):
    """Process the import of a response, and return it."""
    process_import(answer.json()["id"])
    return Import.objects.get(pk=answer.json()["id"])


def prerequisites_of(code):
    return Course.objects.get(code=code).prerequisites


def rename_by_patch(api, desk, course, code):
    return api.patch(f"/api/v1/courses/{course.pk}", {"code": code}).status_code


def rename_by_put(api, desk, course, code):
    url = f"/api/v1/courses/{course.pk}"
    return api.put(url, {**api.get(url).json(), "code": code}).status_code


def rename_by_form(api, desk, course, code):
    return desk.post(f"/admin/courses/course/{course.pk}/change/", form_of(course, code)).status_code


def rename_by_history(api, desk, course, code):
    """Restore an earlier version of the course, which had that code."""
    present = course.code
    Course.objects.filter(pk=course.pk).update(code=code)
    Course.objects.get(pk=course.pk).save()
    version = course.history.first()
    Course.objects.filter(pk=course.pk).update(code=present)
    url = f"/admin/courses/course/{course.pk}/history/{version.history_id}/"
    return desk.post(url, form_of(course, code)).status_code


RENAMES = [rename_by_patch, rename_by_put, rename_by_form, rename_by_history]
DONE = 200, 302  # by a client; by a form, which redirects to another page


@pytest.mark.parametrize("rename", RENAMES)
def test_renaming_a_course_updates_the_prerequisites_of_other_courses(
    api, registrar_client, intro, advanced, actor, rename
):
    make_course(code="MORE", prerequisites=["ADV", "INTRO"])
    student = make_student()
    for act in (enroll, complete):
        act(student_id=student.pk, course_id=intro.pk, actor=actor)

    assert rename(api, registrar_client, intro, "INTRO101") in DONE

    assert (prerequisites_of("INTRO101"), prerequisites_of("ADV"), prerequisites_of("MORE")) == (
        [],
        ["INTRO101"],
        ["ADV", "INTRO101"],
    )
    assert enroll(student_id=student.pk, course_id=advanced.pk, actor=actor).changed


@pytest.mark.parametrize("rename", RENAMES)
def test_prerequisites_keep_a_code_that_another_course_still_has(api, registrar_client, intro, advanced, rename):
    make_course(code="INTRO", term=make_term())

    assert rename(api, registrar_client, intro, "INTRO101") in DONE

    assert (prerequisites_of("ADV"), Course.objects.filter(code="INTRO101").count()) == (["INTRO"], 1)


@pytest.mark.parametrize("rename", RENAMES)
def test_a_rename_that_would_create_a_cycle_changes_nothing(api, registrar_client, rename):
    first = make_course(code="A", term=make_term())
    make_course(code="B", prerequisites=["A"])
    make_course(code="C", prerequisites=["B"])
    other = make_course(code="X", term=make_term())

    assert rename(api, registrar_client, first, "C") in (400, 200)

    assert sorted(Course.objects.values_list("code", flat=True)) == ["A", "B", "C", "X"]
    assert (prerequisites_of("B"), prerequisites_of("C")) == (["A"], ["B"])
    assert rename(api, registrar_client, other, "C") in DONE  # no course requires it


def test_the_error_of_a_cycle_by_a_rename_has_the_code_field_and_the_cycle(api):
    first = make_course(code="A", term=make_term())
    make_course(code="B", prerequisites=["A"])
    make_course(code="C", prerequisites=["B"])

    answer = api.patch(f"/api/v1/courses/{first.pk}", {"code": "C"})

    message = "These courses would be prerequisites of themselves: C ← B ← C."
    assert answer.json()["errors"] == [{"code": "prerequisite_cycle", "field": "code", "message": message}]


def test_a_course_that_requires_the_old_and_the_new_code_lists_the_new_one_once(api, intro):
    make_course(code="INTRO101", term=make_term())
    make_course(code="ADV", prerequisites=["INTRO101", "OTHER", "INTRO"])

    assert api.patch(f"/api/v1/courses/{intro.pk}", {"code": "INTRO101"}).status_code == 200

    assert prerequisites_of("ADV") == ["INTRO101", "OTHER"]


def test_a_course_cannot_have_its_own_former_code_as_a_prerequisite(api, intro):
    answer = api.patch(f"/api/v1/courses/{intro.pk}", {"code": "NEW", "prerequisites": ["INTRO"]})

    assert [(each["code"], each["field"]) for each in answer.json()["errors"]] == [
        ("course_not_found", "prerequisites")
    ]
    assert prerequisites_of("INTRO") == []


def test_each_course_updated_by_a_rename_has_a_row_in_its_history(api, intro, advanced):
    account = ApiClient.objects.get().user_id
    untouched = make_course(code="OTHER", prerequisites=["ADV"])

    api.patch(f"/api/v1/courses/{intro.pk}", {"code": "INTRO101"})

    version = advanced.history.first()
    assert (version.history_type, version.prerequisites, version.history_user_id) == ("~", ["INTRO101"], account)
    assert (version.name, version.code) == (advanced.name, "ADV")
    assert untouched.history.count() == 1


def test_a_failed_rename_does_not_change_prerequisites(api, intro, advanced):
    make_course(code="TAKEN")

    assert api.patch(f"/api/v1/courses/{intro.pk}", {"code": "TAKEN"}).json()["code"] == "unique"
    assert (prerequisites_of("ADV"), prerequisites_of("INTRO")) == (["INTRO"], [])


def test_a_student_who_becomes_eligible_by_a_rename_gets_the_free_seat(api, actor):
    old = make_course(code="OLD")
    make_course(code="NEW", term=make_term())
    course = make_course(code="ADV", capacity=0, waitlist_capacity=1, prerequisites=[])
    student = make_student()
    for act in (enroll, complete):
        act(student_id=student.pk, course_id=old.pk, actor=actor)
    enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    Course.objects.filter(pk=course.pk).update(capacity=1, prerequisites=["NEW"])

    api.patch(f"/api/v1/courses/{old.pk}", {"code": "NEW"})

    assert StudentCourse.objects.get(course=course).status == "enrolled"


def test_a_client_cannot_rename_a_prerequisite_of_courses_outside_its_limits(intro):
    term = make_term(code="2026F")
    inside = make_course(code="INSIDE", term=term)
    alone = make_course(code="ALONE", term=term)
    make_course(code="NEXT", term=term, prerequisites=["ALONE"])
    outside = make_course(code="OUTSIDE", prerequisites=["INSIDE"])
    keys = create_api_client("limited", " ".join(settings.SCOPES), terms=["2026F"])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)

    refused = client.patch(f"/api/v1/courses/{inside.pk}", {"code": "NEW"})

    assert (refused.status_code, refused.json()["code"]) == (403, "outside_limits")
    assert (prerequisites_of("OUTSIDE"), outside.history.count()) == (["INSIDE"], 1)
    assert client.patch(f"/api/v1/courses/{alone.pk}", {"code": "OTHER"}).status_code == 200
    assert prerequisites_of("NEXT") == ["OTHER"]


def test_saving_the_same_code_changes_no_prerequisites(api, intro, advanced):
    body = api.get(f"/api/v1/courses/{intro.pk}").json()

    assert api.put(f"/api/v1/courses/{intro.pk}", body).status_code == 200
    assert (prerequisites_of("ADV"), advanced.history.count()) == (["INTRO"], 1)


def delete_by_api(api, desk, course):
    api.delete(f"/api/v1/courses/{course.pk}")


def delete_by_page(api, desk, course):
    desk.post(f"/admin/courses/course/{course.pk}/delete/", {"post": "yes"})


def delete_by_action(api, desk, course):
    form = {"action": "delete_selected", "_selected_action": [course.pk], "post": "yes"}
    desk.post("/admin/courses/course/", form)


@pytest.mark.parametrize("delete", [delete_by_api, delete_by_page, delete_by_action])
def test_the_last_course_of_a_required_code_cannot_be_deleted(api, registrar_client, intro, advanced, delete):
    second = make_course(code="INTRO", term=make_term())

    delete(api, registrar_client, intro)
    delete(api, registrar_client, second)

    assert list(Course.objects.filter(code="INTRO")) == [second]
    api.patch(f"/api/v1/courses/{advanced.pk}", {"prerequisites": []})
    delete(api, registrar_client, second)
    assert not Course.objects.filter(code="INTRO").exists()


def test_the_refusal_of_a_deletion_lists_dependent_courses_and_gives_advice(api, registrar_client, intro, advanced):
    make_course(code="MORE", term=make_term(code="2026F"), prerequisites=["INTRO"])

    answer = api.delete(f"/api/v1/courses/{intro.pk}")
    page = registrar_client.get(f"/admin/courses/course/{intro.pk}/delete/").content.decode()

    message = (
        "INTRO is a prerequisite of: ADV, MORE@2026F. Remove it from their prerequisites first,"
        " or deactivate the course instead of deleting it."
    )
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (409, "is_prerequisite", message)
    assert f"<li>{message}</li>" in page


def test_courses_that_require_only_each_other_are_deleted_together(registrar_client, intro, advanced):
    form = {"action": "delete_selected", "_selected_action": [intro.pk, advanced.pk], "post": "yes"}

    registrar_client.post("/admin/courses/course/", form)

    assert Course.objects.count() == 0


def test_a_refusal_counts_courses_outside_the_limits_without_naming_them():
    term = make_term(code="2026F")
    course = make_course(code="INTRO", term=term)
    make_course(code="INSIDE", term=term, prerequisites=["INTRO"])
    make_course(code="SECRET", prerequisites=["INTRO"])
    keys = create_api_client("limited", " ".join(settings.SCOPES), terms=["2026F"])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)

    detail = client.delete(f"/api/v1/courses/{course.pk}").json()["detail"]

    assert detail.startswith("INTRO is a prerequisite of: INSIDE@2026F, 1 more course. Remove it")


def test_a_refusal_names_a_few_courses_and_counts_the_rest(intro):
    for number in range(MAX_SHOWN_COURSES + 2):
        make_course(code=f"N{number}", prerequisites=["INTRO"])

    message = deletion_refusals([intro.pk])[intro.pk].message

    named = ", ".join(f"N{number}" for number in range(MAX_SHOWN_COURSES))
    assert message.startswith(f"INTRO is a prerequisite of: {named}, 2 more courses. Remove")


def test_undoing_an_import_keeps_a_course_that_others_require(api):
    rows = "course_code,name,level\nINTRO,Intro,introductory\nALONE,Alone,introductory\n"
    job = worked_on(api.post("/api/v1/imports?kind=courses&review=needed", rows, content_type="text/csv"))
    make_course(code="ADV", prerequisites=["INTRO"])

    undo = worked_on(api.post(f"/api/v1/imports/{job.pk}/undo"))

    assert undo.counts == {"reversed": 1, "kept": 1}
    assert sorted(Course.objects.values_list("code", flat=True)) == ["ADV", "INTRO"]


def test_deleting_a_course_with_enrollments_is_refused_as_has_history(api, intro, actor):
    enroll(student_id=make_student().pk, course_id=intro.pk, actor=actor)

    assert api.delete(f"/api/v1/courses/{intro.pk}").json()["code"] == "has_history"


def test_renames_never_leave_unknown_prerequisites_or_cycles(db):
    """All graphs of a few courses, each course renamed to each code: the rename is refused or the graph stays valid."""
    edges = [("A", "B"), ("B", "C"), ("A", "C"), ("C", "A")]
    done = refused = 0
    for chosen in range(2 ** len(edges)):
        asks = {code: [to for at, (of, to) in enumerate(edges) if of == code and chosen >> at & 1] for code in "ABC"}
        if has_cycle(asks):
            continue
        for old, new in permutations("ABC", 2):
            Course.objects.all().delete()
            courses = {code: make_course(code=code, prerequisites=asks[code]) for code in "ABC"}
            term, _made = Term.objects.get_or_create(
                code="T", defaults={"starts_on": "2026-01-01", "ends_on": "2026-12-31"}
            )
            course = courses[old]
            course.term = term
            course.save()
            try:
                check_prerequisites(new, course.prerequisites, course_id=course.pk)
            except ValidationError:
                refused += 1
                renamed = {code: [new if each == old else each for each in asked] for code, asked in asks.items()}
                renamed[new] = renamed[new] + renamed.pop(old)
                assert has_cycle(renamed)
                continue
            rename_in_prerequisites(course.pk, new)
            Course.objects.filter(pk=course.pk).update(code=new)
            after: dict[str, list[str]] = {}
            for code, prerequisites in Course.objects.values_list("code", "prerequisites"):
                after.setdefault(code, []).extend(prerequisites)
            assert not has_cycle(after)
            assert {each for asked in after.values() for each in asked} <= set(after)
            done += 1
    assert done > 0
    assert refused > 0


def has_cycle(asks):
    def leads_to(code, target, seen):
        return any(
            each == target or (each not in seen and leads_to(each, target, seen | {each}))
            for each in asks.get(code, ())
        )

    return any(leads_to(code, code, frozenset()) for code in asks)


def test_staff_limited_to_own_courses_cannot_rename_a_prerequisite_of_other_courses(
    registrar, registrar_client, intro, advanced
):
    registrar.user_permissions.add(Permission.objects.get(codename="own_courses_only"))
    intro.staff.create(user=registrar)

    answer = registrar_client.post(f"/admin/courses/course/{intro.pk}/change/", form_of(intro, "NEW"))

    assert (answer.status_code, prerequisites_of("ADV"), prerequisites_of("INTRO")) == (403, ["INTRO"], [])


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        ({"drop_deadline": "2026-08-31"}, False),
        ({"drop_deadline": "2026-09-01"}, True),
        ({"drop_deadline": "2027-01-31"}, True),
        ({"drop_deadline": "2027-02-01"}, False),
        ({"drop_deadline": "2206-10-15"}, False),
        ({"drop_deadline": None}, True),
        ({"ends_on": "2026-10-14"}, False),
        ({"starts_on": "2026-10-16"}, False),
        ({"starts_on": "2026-10-16", "drop_deadline": "2026-10-17"}, True),
    ],
)
def test_a_drop_deadline_must_lie_within_its_term(api, registrar_client, fields, accepted):
    dates = {"starts_on": "2026-09-01", "ends_on": "2027-01-31", "drop_deadline": "2026-10-15"}
    term = make_term(**dates)

    form = {"code": term.code, "name": term.name, **dates, **fields}
    page = registrar_client.post(
        f"/admin/courses/term/{term.pk}/change/", {name: value or "" for name, value in form.items()}
    )
    if accepted:
        assert page.status_code == 302
        Term.objects.filter(pk=term.pk).update(**dates)
    else:
        message = "The drop deadline must lie between the first and the last day of the term."
        assert page.context["adminform"].form.errors == {"__all__": [message]}
    answer = api.patch(f"/api/v1/terms/{term.pk}", fields)
    assert answer.status_code == (200 if accepted else 400)
    if not accepted:
        assert [each["code"] for each in answer.json()["errors"]] == ["drop_deadline_outside_term"]


def test_the_database_refuses_a_drop_deadline_outside_the_term():
    with pytest.raises(IntegrityError, match="term_drop_deadline_is_within_its_dates"):
        make_term(ends_on="2026-12-31", drop_deadline="2027-01-01")


def test_the_refusal_to_delete_a_referenced_row_gives_advice(api, actor):
    term = make_term()
    course, student = make_course(term=term), make_student()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    answers = [
        api.delete(f"/api/v1/{name}/{row.pk}").json()
        for name, row in (("terms", term), ("courses", course), ("students", student))
    ]

    assert [(each["status"], each["code"], each["detail"]) for each in answers] == [
        (
            409,
            "has_history",
            "Courses are offered in this term. Move them to another term, or delete them, and then the term.",
        ),
        (409, "has_history", "The course has enrollments, which are kept. Deactivate the course instead."),
        (409, "has_history", "The student has enrollments, which are kept. Deactivate the student instead."),
    ]
