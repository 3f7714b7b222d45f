"""Terms and courses over the API."""

from courses.filters import CourseFilter, TermFilter
from courses.lookup import find_course, find_term
from courses.models import Course, Term
from courses.serializers import CourseSerializer, TermSerializer
from school.api.views import ResourceViewSet


class TermViewSet(ResourceViewSet):
    scope = "courses"
    permission_model = Term
    address = "term"
    queryset = Term.objects.all()
    serializer_class = TermSerializer
    filterset_class = TermFilter
    search_fields = ["code", "name"]
    ordering_fields = {"id": "id", "code": "code", "starts_on": "starts_on"}
    ordering = "-starts_on"

    def find(self) -> Term:
        return find_term(self.kwargs["term_id"], self.get_queryset())


class CourseViewSet(ResourceViewSet):
    """Courses by themselves. ``students.views`` serves them, with the seats that belong to students."""

    scope = "courses"
    permission_model = Course
    address = "course"
    queryset = Course.objects.select_related("term")
    serializer_class = CourseSerializer
    filterset_class = CourseFilter
    search_fields = ["code", "name"]
    ordering_fields = {"id": "id", "code": "code", "name": "name"}
    ordering = "id"

    def find(self) -> Course:
        return find_course(self.kwargs["course_id"], self.get_queryset())
