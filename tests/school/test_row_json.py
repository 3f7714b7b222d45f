"""The database renders every row exactly as its serializer does."""

import json

import pytest
from django.db.models import QuerySet

from bulk.api.serializers import ImportSerializer
from bulk.jobs.import_actions import approve, start_undo
from bulk.models import Import, ImportChannel
from courses.api.serializers import CourseSerializer
from courses.models import Course
from school.api.row_json import ComputedField, row_template
from students.api.serializers import CourseWithSeatsSerializer, EnrollmentSerializer
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import imported, worked_on

pytestmark = pytest.mark.django_db


def rendered_by_database(rows: QuerySet, serializer, **options) -> list[dict]:
    template = row_template(serializer, **options)
    return [json.loads(template.render(None, columns)) for columns in rows.values_list(*template.expressions)]


def test_every_type_of_value_is_rendered_as_by_the_serializer():
    opens = "2026-08-01T09:00:00.000120Z"
    make_course(
        name='"\\ </script> \u2028 Größe', prerequisites=["A", 'B"'], enrollment_opens_at=opens, is_active=False
    )
    make_course(term=make_term(code="2026F"), capacity=0, enrollment_closes_at="2026-08-01T09:00:00+02:00")
    courses = Course.objects.order_by("pk")

    assert rendered_by_database(courses, CourseSerializer()) == json.loads(
        json.dumps(CourseSerializer(courses, many=True).data)
    )


def test_a_property_is_read_from_its_annotation(actor):
    course = make_course(capacity=1, waitlist_capacity=2)
    for _ in range(3):
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    rows = StudentCourse.objects.with_details().order_by("pk")

    found = rendered_by_database(rows, EnrollmentSerializer())

    assert found == json.loads(json.dumps(EnrollmentSerializer(rows, many=True).data))
    assert [row["waitlist_position"] for row in found] == [None, 1, 2]


def test_a_computed_value_keeps_the_position_of_its_field():
    class UppercaseSerializer(CourseSerializer):
        computed = {
            "name": ComputedField(("name", "capacity"), lambda request, name, capacity: f"{name.upper()} {capacity}")
        }

    make_course(name="quiet", capacity=3)

    [row] = rendered_by_database(Course.objects.all(), UppercaseSerializer())

    assert (list(row), row["name"]) == (list(CourseSerializer().fields), "QUIET 3")


def test_an_import_is_rendered_as_by_its_serializer(registrar):
    imported("student_number,course_code,term,left\nS-1,C-1,2026F,over\n", actor=registrar, dataset='"', file_name="\\")
    job = imported("student_number,given_name,family_name\nS-1,Ada,Byron\n", kind="students", review="always")
    approve(job.pk, actor=registrar)
    worked_on(job)
    undo = start_undo(job.pk, channel=ImportChannel.API, request_id="r", actor=registrar)
    jobs = Import.objects.select_related("actor", "approved_by", "progress").order_by("pk")

    found = rendered_by_database(jobs, ImportSerializer())

    assert found == json.loads(json.dumps(ImportSerializer(jobs, many=True).data))
    assert [row["undoes"] for row in found] == [None, None, undo.undoes_id]
    assert [bool(row["warnings"]) for row in found] == [True, False, False]


def test_a_field_computed_only_for_limited_clients_is_rendered_by_the_database():
    class TruncatingSerializer(CourseSerializer):
        computed = {
            "prerequisites": ComputedField(("prerequisites",), lambda request, codes: codes[:1], only_limited=True)
        }

    make_course(prerequisites=["A", "B"])

    found = [
        rendered_by_database(Course.objects.all(), TruncatingSerializer(), is_limited=limited)[0]["prerequisites"]
        for limited in (0, 1)
    ]

    assert found == [["A", "B"], ["A"]]


def test_a_field_that_is_neither_column_nor_computed_is_rejected():
    class UnknownFieldSerializer(CourseWithSeatsSerializer):
        computed = {}

    with pytest.raises(TypeError, match="no column seats"):
        row_template(UnknownFieldSerializer())
