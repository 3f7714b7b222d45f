"""The scope of a full file: the open enrollments of a term or a course, and the source of each of them."""

from collections.abc import Collection, Iterator

from django.db.models import OuterRef, Q
from django.utils.functional import cached_property

from bulk.importers.base import CHUNK_SIZE
from bulk.models import DatasetKey, Import
from bulk.row_results import KEPT_MANUAL, KEPT_OTHER_SOURCE
from courses.lookup import courses_by_key, parse_course_key, term_not_found
from courses.models import Course, Term
from school.access.row_scope import RowScope, filter_by_scope
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from school.text_normalization import normalized
from students.enrollment.last_events_loading import effective_events
from students.models import Channel, StudentCourse, StudentCourseQuerySet

SCOPES = ("term", "course")
# The condition for changes by staff, in the admin or over the API. The accounts of API clients are not staff.
MANUAL = Q(channel=Channel.ADMIN) | Q(channel=Channel.API, actor__is_staff=True)


class Scope:
    """A term or a course, written as ``term:2026F`` or ``course:MATH-101@2026F``."""

    def __init__(self, text: str, dataset: DatasetKey, row_scope: RowScope | None = None) -> None:
        self.dataset = dataset
        self.row_scope = row_scope
        self.kind, _colon, key = text.partition(":")
        self.key = normalized(key)

    def check(self) -> list[Refusal]:
        """Return the reasons why the scope is not valid; an empty list if it is."""
        if self.kind not in SCOPES or not self.key:
            message = _("The scope of an import has the form term:CODE, course:CODE@TERM or course:CODE@TERM@SECTION.")
            return [Refusal("invalid_scope", message, field="scope")]
        term_or_course = self._course() if self.kind == "course" else self._term()
        if term_or_course is None:
            return [
                term_not_found(f"code:{self.key}", filter_by_scope(Term.objects.all(), self.row_scope)).with_field(
                    "scope"
                )
            ]
        return [term_or_course.with_field("scope")] if isinstance(term_or_course, Refusal) else []

    @cached_property
    def course_id(self) -> int | None:
        course = self._course()
        return None if isinstance(course, Refusal) else course.pk

    def _course(self) -> Course | Refusal:
        key = parse_course_key(self.key)
        return courses_by_key([key], filter_by_scope(Course.objects.all(), self.row_scope))[key]

    def _term(self) -> Term | None:
        # The import may end all enrollments of the term, so a limited sender must be allowed to change the term itself.
        return filter_by_scope(Term.objects.all(), self.row_scope, to_change=True).filter(code=self.key).first()

    def has(self, course: Course) -> bool:
        """Return True if a course is in the scope."""
        if self.kind == "term":
            return course.term is not None and course.term.code == self.key
        return course.pk == self.course_id

    def enrollments(self) -> StudentCourseQuerySet:
        """Return the open enrollments in the scope."""
        if self.kind == "term":
            enrollments = StudentCourse.objects.open().filter(course__term__code=self.key)
        else:
            enrollments = StudentCourse.objects.open().filter(course=self.course_id)
        return filter_by_scope(enrollments, self.row_scope)

    def own_enrollments(self) -> StudentCourseQuerySet:
        """Return the open enrollments in the scope that belong to the dataset."""
        last = effective_events().filter(enrollment=OuterRef("pk")).order_by("-pk").values("file_import")[:1]
        own = Import.objects.of_dataset(self.dataset).values("pk")
        return self.enrollments().annotate(changed_by=last).filter(changed_by__in=own)

    def kept_by_source(self, enrollments: Collection[StudentCourse]) -> dict[int, str]:
        """
        Return an outcome for each of the enrollments that does not belong to the dataset, by enrollment id.

        An enrollment belongs to the dataset whose import changed or adopted it last. Promotions and pass-overs by the
        system do not count.
        """
        events = effective_events().filter(enrollment__in=enrollments)
        last = {enrollment_id: pk for pk, enrollment_id in events.order_by("pk").values_list("pk", "enrollment")}
        events = events.filter(pk__in=last.values())
        own = events.filter(file_import__in=Import.objects.of_dataset(self.dataset).values("pk"))
        own_ids = set(own.values_list("enrollment", flat=True))
        manual_ids = set(events.filter(MANUAL).values_list("enrollment", flat=True))
        return {
            each.pk: KEPT_MANUAL if each.pk in manual_ids else KEPT_OTHER_SOURCE
            for each in enrollments
            if each.pk not in own_ids
        }

    def chunks(self) -> Iterator[list[StudentCourse]]:
        """Yield the enrollments in the order of their ids, in lists of at most ``CHUNK_SIZE``."""
        enrollments = self.enrollments().select_related("student", "course__term").order_by("pk")
        chunk = list(enrollments[:CHUNK_SIZE])
        while chunk:
            yield chunk
            chunk = list(enrollments.filter(pk__gt=chunk[-1].pk)[:CHUNK_SIZE])
