"""The scope of a full file: the open enrollments of a term or a course, and the source of each of them."""

from collections.abc import Collection, Iterator

from django.db.models import OuterRef, Q
from django.utils.functional import cached_property

from bulk.importers.base import CHUNK
from bulk.models import DatasetKey, Import
from bulk.outcomes import KEPT_MANUAL, KEPT_OTHER_SOURCE
from courses.lookup import CourseKey, courses_by_key, term_not_found
from courses.models import Course, Term
from school.access.row_scope import Limits, within
from school.i18n.stored_messages import sentence as _
from school.refusals import Refusal
from school.validators import normalized
from students.enrollment.loading import lasting_acts
from students.models import Channel, StudentCourse, StudentCourseQuerySet

SCOPES = ("term", "course")
# Acts of people, in the admin or over the API. API clients also use the API, but their accounts are not staff.
BY_HAND = Q(channel=Channel.ADMIN) | Q(channel=Channel.API, actor__is_staff=True)


class Scope:
    """A term or a course, written as ``term:2026F`` or ``course:MATH-101@2026F``."""

    def __init__(self, text: str, dataset: DatasetKey, limits: Limits | None = None) -> None:
        self.dataset = dataset
        self.limits = limits
        self.what, _colon, key = text.partition(":")
        self.key = normalized(key)

    def check(self) -> list[Refusal]:
        """Return the reasons why the scope is not valid; an empty list if it is."""
        if self.what not in SCOPES or not self.key:
            message = _("The scope of an import has the form term:CODE or course:CODE@TERM.")
            return [Refusal("invalid_scope", message, field="scope")]
        found = self._course() if self.what == "course" else self._term()
        if found is None:
            return [term_not_found(f"code:{self.key}", within(Term.objects.all(), self.limits)).at("scope")]
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
        # The import may end all enrollments of the term, so the limits must allow changes to the term itself.
        return within(Term.objects.all(), self.limits, to_change=True).filter(code=self.key).first()

    def has(self, course: Course) -> bool:
        """Return True if a course is in the scope."""
        if self.what == "term":
            return course.term is not None and course.term.code == self.key
        return course.pk == self.course_id

    def enrollments(self) -> StudentCourseQuerySet:
        """Return the open enrollments in the scope."""
        if self.what == "term":
            inside = StudentCourse.objects.open().filter(course__term__code=self.key)
        else:
            inside = StudentCourse.objects.open().filter(course=self.course_id)
        return within(inside, self.limits)

    def own_enrollments(self) -> StudentCourseQuerySet:
        """Return the open enrollments in the scope that belong to the dataset."""
        last = lasting_acts().filter(enrollment=OuterRef("pk")).order_by("-pk").values("file_import")[:1]
        own = Import.objects.of_dataset(self.dataset).values("pk")
        return self.enrollments().annotate(changed_by=last).filter(changed_by__in=own)

    def kept_by_source(self, enrollments: Collection[StudentCourse]) -> dict[int, str]:
        """
        Return an outcome for each enrollment that does not belong to the dataset, by enrollment id.

        An enrollment belongs to the dataset whose import changed or adopted it last. Promotions and passes by the
        system do not count.
        """
        acts = lasting_acts().filter(enrollment__in=enrollments)
        last = {enrollment_id: pk for pk, enrollment_id in acts.order_by("pk").values_list("pk", "enrollment")}
        acts = acts.filter(pk__in=last.values())
        own = acts.filter(file_import__in=Import.objects.of_dataset(self.dataset).values("pk"))
        own_ids = set(own.values_list("enrollment", flat=True))
        manual_ids = set(acts.filter(BY_HAND).values_list("enrollment", flat=True))
        return {
            each.pk: KEPT_MANUAL if each.pk in manual_ids else KEPT_OTHER_SOURCE
            for each in enrollments
            if each.pk not in own_ids
        }

    def chunks(self) -> Iterator[list[StudentCourse]]:
        """Yield the enrollments in the order of their ids, in lists of at most ``CHUNK``."""
        wanted = self.enrollments().select_related("student", "course__term").order_by("pk")
        chunk = list(wanted[:CHUNK])
        while chunk:
            yield chunk
            chunk = list(wanted.filter(pk__gt=chunk[-1].pk)[:CHUNK])
