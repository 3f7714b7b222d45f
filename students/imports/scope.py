"""What a full file speaks of: the open enrollments of a term or a course, as far as its dataset brought them."""

from collections.abc import Collection, Iterator
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from bulk.importing import CHUNK
from courses.lookup import CourseKey, courses_by_key
from courses.models import Course, Term
from school.limits import Limits, within
from school.refusals import Refusal
from students.models import Channel, EnrollmentEvent, StudentCourse, StudentCourseQuerySet
from students.register import BY_ITSELF

SCOPES = ("term", "course")
# A person at a door of their own. Programs act through the API too, but nobody logs in as one.
BY_HAND = Q(channel=Channel.ADMIN) | Q(channel=Channel.API, actor__is_staff=True)


class Scope:
    """``term:2026F``, or ``course:MATH-101@2026F``."""

    def __init__(self, text: str, dataset: str, limits: Limits | None = None) -> None:
        self.dataset = dataset
        self.limits = limits
        self.what, _colon, self.key = text.partition(":")

    def check(self) -> list[Refusal]:
        """Return what is wrong with it."""
        if self.what not in SCOPES or not self.key:
            message = _("A scope is term:CODE, or course:CODE@TERM.")
            return [Refusal("invalid_scope", message, field="scope")]
        found = self._course() if self.what == "course" else self._term()
        if found is None:
            message = _("There is no term %(term)s.") % {"term": self.key}
            return [Refusal("term_not_found", message, field="scope")]
        return [found.at("scope")] if isinstance(found, Refusal) else []

    @cached_property
    def course_id(self) -> int | None:
        course = self._course()
        return None if isinstance(course, Refusal) else course.pk

    def _course(self) -> Course | Refusal:
        code, _at, term = self.key.partition("@")
        key = CourseKey(code, term)
        return courses_by_key([key], within(Course.objects.all(), self.limits))[key]

    def _term(self) -> Term | None:
        # All that is in the term may end, so the term itself has to lie within, not only some of its courses.
        return within(Term.objects.all(), self.limits, to_change=True).filter(code=self.key).first()

    def has(self, course: Course) -> bool:
        """Tell whether a course is in the scope."""
        if self.what == "term":
            return course.term is not None and course.term.code == self.key
        return course.pk == self.course_id

    def enrollments(self) -> StudentCourseQuerySet:
        """Return the open enrollments in the scope that no other dataset has brought."""
        if self.what == "term":
            inside = StudentCourse.objects.open().filter(course__term__code=self.key)
        else:
            inside = StudentCourse.objects.open().filter(course=self.course_id)
        last = acts_of(OuterRef("pk")).order_by("-pk").values("file_import__dataset")[:1]
        inside = within(inside, self.limits)
        brought_by = inside.annotate(brought_by=Subquery(last))
        return brought_by.filter(Q(brought_by__isnull=True) | Q(brought_by=self.dataset))

    def chunks(self) -> Iterator[list[StudentCourse]]:
        """Yield the enrollments in the order of their ids, some at a time."""
        wanted = self.enrollments().select_related("student", "course__term").order_by("pk")
        chunk = list(wanted[:CHUNK])
        while chunk:
            yield chunk
            chunk = list(wanted.filter(pk__gt=chunk[-1].pk)[:CHUNK])


def acts_of(enrollment: Any) -> QuerySet[EnrollmentEvent]:
    """Return what somebody has done to an enrollment, without what followed by itself."""
    return EnrollmentEvent.objects.filter(enrollment=enrollment).exclude(action__in=BY_ITSELF)


def changed_by_hand(enrollments: Collection[StudentCourse]) -> set[int]:
    """Return the ids of those on which a person has acted last, at the API or in the admin."""
    acts = EnrollmentEvent.objects.filter(enrollment__in=enrollments).exclude(action__in=BY_ITSELF)
    last = {enrollment_id: pk for pk, enrollment_id in acts.order_by("pk").values_list("pk", "enrollment")}
    return set(acts.filter(BY_HAND, pk__in=last.values()).values_list("enrollment", flat=True))
