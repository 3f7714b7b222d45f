"""API views for courses with their seats."""

from typing import Any, cast

from django.db.models import QuerySet
from rest_framework.serializers import BaseSerializer

from courses.api.views import CourseViewSet
from courses.models import Course
from school.api.openapi.batch_serializers import describe_batch
from students.api.actor import actor_from_request
from students.api.filters import CourseWithSeatsFilter
from students.api.serializers import CourseWithSeatsSerializer, examples
from students.enrollment import promote_in_changed_course
from students.enrollment.affected_courses import dependence_of
from students.imports.object_savers import CourseWithSeatsSaver
from students.seats import annotate_seats


@describe_batch("course", CourseWithSeatsSerializer, {"code": "MATH-150", "name": "Calculus", "level": "advanced"})
class CourseWithSeatsViewSet(CourseViewSet):
    """
    Courses with their seats.

    A change may free a seat, which is given to a waitlisted student in the same transaction. With a new code, students
    on the waitlists of other courses may meet their prerequisites.
    """

    serializer_class = CourseWithSeatsSerializer
    filterset_class = CourseWithSeatsFilter
    request_examples = {"PUT": examples.COURSE_REPLACEMENT, "PATCH": examples.COURSE_CHANGE}

    def batch_saver(self) -> CourseWithSeatsSaver:
        saver = self.prepare_saver(CourseWithSeatsSaver())
        saver.actor = actor_from_request(self.request)
        return saver

    def get_queryset(self) -> QuerySet[Course]:
        return annotate_seats(super().get_queryset())

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        course = cast(Course, serializer.instance)
        before = dependence_of(course)
        super().perform_update(serializer)
        promote_in_changed_course(course, before, actor=actor_from_request(self.request))
