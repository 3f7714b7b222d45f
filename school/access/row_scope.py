"""
Row-level access: a client or a member of staff may see and change everything, or only rows of some terms and courses.

The API and every page of the admin filter their rows by ``filter_by_scope``, and by nothing else. Students, imports and
grades do not belong to a term. Limited clients and staff see the students that have or had an enrollment in their own
courses, and all grades, and can change neither. Limited clients see the holds of these students, except those for other
terms, and cannot change them. A limited client sees the enrollment imports that it has sent; limited
staff see no imports.

``OwnCoursesBackend`` restricts the actions of limited staff: it denies every permission that is not in
``LIMITED_STAFF_PERMISSIONS``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

import school.db.lookups  # noqa: F401  # registers the lookup ``any_of``
from school.db.compiled_queries import QueryParameter
from school.i18n.stored_messages import translatable as _
from school.models import ApiClient
from school.refusals import Refusal, Refused

OWN_COURSES_ONLY = "courses.own_courses_only"

S = TypeVar("S", bound=QuerySet[Any])
RowCondition = Callable[[type[Any], Any], Q]


@dataclass(frozen=True, slots=True)
class RowScope:
    """
    The terms and courses that an account is limited to, the terms of these courses, and the account's id.

    ``is_client`` distinguishes clients from staff. A limited client can enroll any student in its courses, and does not
    see the codes of other courses. Limited staff can enroll the students that they see, and see the codes of their
    courses' prerequisites.
    """

    account_id: int
    terms: frozenset[int]
    courses: frozenset[int]
    terms_of_courses: frozenset[int]
    is_client: bool = True

    @property
    def visible_terms(self) -> Any:
        """The ids of the visible terms: the terms of the scope, and the terms of the courses."""
        return self.terms | self.terms_of_courses

    def can_add(self, model: type[Model]) -> bool:
        """
        Return True if a new row of this model can lie within the scope: only a course in one of the scope's terms can.
        """
        return model._meta.label == "courses.Course" and bool(self.terms)


class RowScopeParameters:
    """The parameters that take the place of the row scope in a query that is compiled once for all limited callers."""

    account_id = QueryParameter("account_id")
    terms = QueryParameter("terms", is_array=True)
    courses = QueryParameter("courses", is_array=True)
    visible_terms = QueryParameter("visible_terms", is_array=True)

    @staticmethod
    def values_of(row_scope: RowScope) -> dict[str, Any]:
        """Return the values of the parameters for a caller."""
        return {name: getattr(row_scope, name) for name in ("account_id", "terms", "courses", "visible_terms")}


def row_scope_of_client(client: ApiClient) -> RowScope | None:
    """Return the row scope of a client, None for unlimited access."""
    if not client.is_limited or client.user_id is None:
        return None
    courses = dict(client.courses.values_list("pk", "term"))
    terms = frozenset(client.terms.values_list("pk", flat=True))
    return RowScope(client.user_id, terms, frozenset(courses), frozenset(filter(None, courses.values())))


def row_scope_of_account(account_id: int | None) -> RowScope | None:
    """Return the row scope of an account, of a client or a person; None for unlimited access."""
    if account_id is None:
        return None
    client = ApiClient.objects.filter(user=account_id, is_limited=True).first()
    return row_scope_of_client(client) if client else row_scope_of_staff(get_user_model().objects.get(pk=account_id))


def has_own_courses_only(user: Any) -> bool:
    return not user.is_superuser and bool(user.has_perm(OWN_COURSES_ONLY))


def row_scope_of_staff(user: Any) -> RowScope | None:
    """Return the row scope of a user with ``own_courses_only``: their own courses. None for unlimited access."""
    if not has_own_courses_only(user):
        return None
    if not hasattr(user, "row_scope"):  # stored on the user, so that the scope is queried once per request
        courses = dict(user.staff_of.values_list("course", "course__term"))
        terms = frozenset(filter(None, courses.values()))
        user.row_scope = RowScope(user.pk, frozenset(), frozenset(courses), terms, is_client=False)
    row_scope: RowScope = user.row_scope
    return row_scope


def _in_own_courses(path: str = "") -> RowCondition:
    def condition(model: type[Any], row_scope: Any) -> Q:
        course = model
        for name in path.split("__") if path else ():
            course = course._meta.get_field(name).related_model
        own = course.objects.filter(Q(term__pk__any_of=row_scope.terms) | Q(pk__any_of=row_scope.courses))
        return Q(**{f"{path or 'pk'}__in": own.values("pk")})

    return condition


def _has_own_enrollment(model: type[Any], row_scope: Any) -> Q:
    students = getattr(model, "instance_type", model)  # the model whose history it is
    enrollments: Any = students._meta.get_field("enrollments").related_model
    # EXISTS instead of a list of ids: SQLite would build the whole list even for one student.
    return Q(Exists(filter_by_scope(enrollments.objects.filter(student=OuterRef("id")), row_scope)))


def _was_in_own_terms_or_courses(model: type[Any], row_scope: Any) -> Q:
    """A version of a course, by its term at that time: a version in a term that is not visible is hidden."""
    in_visible_term = Q(term=None) | Q(term__pk__any_of=row_scope.visible_terms)
    return Q(term__pk__any_of=row_scope.terms) | Q(id__any_of=row_scope.courses) & in_visible_term


def _of_own_student(model: type[Any], row_scope: Any) -> Q:
    students: Any = model._meta.get_field("student").related_model
    own = filter_by_scope(students.objects.filter(pk=OuterRef("student")), row_scope)
    return Q(Exists(own)) & (Q(term=None) | Q(term__pk__any_of=row_scope.visible_terms))


def _sent_by_account(model: type[Any], row_scope: Any) -> Q:
    return Q(Q(actor=row_scope.account_id) | Q(client=row_scope.account_id)) & (
        Q(kind="enrollments") | Q(kind="undo", undoes__kind="enrollments")
    )


# Maps each model to a function that returns the condition for its rows within the scope.
VISIBLE_ROWS: Mapping[str, RowCondition] = {
    "courses.Term": lambda model, row_scope: Q(pk__any_of=row_scope.visible_terms),
    "courses.Course": _in_own_courses(),
    "courses.HistoricalTerm": lambda model, row_scope: Q(id__any_of=row_scope.visible_terms),
    "courses.HistoricalCourse": _was_in_own_terms_or_courses,
    "courses.Grade": lambda model, row_scope: Q(),
    "students.Student": _has_own_enrollment,
    "students.HistoricalStudent": _has_own_enrollment,
    "students.Hold": _of_own_student,
    "students.StudentCourse": _in_own_courses("course"),
    "students.EnrollmentEvent": _in_own_courses("enrollment__course"),
    "students.RefusedAct": _in_own_courses("course"),
    "bulk.Import": _sent_by_account,
}
# The same for rows that may be changed. For some models, these are fewer than the visible ones.
CHANGEABLE_ROWS: Mapping[str, RowCondition] = {
    **VISIBLE_ROWS,
    "courses.Term": lambda model, row_scope: Q(pk__in=row_scope.terms),
    "courses.Grade": lambda model, row_scope: Q(pk__in=[]),
    "students.Student": lambda model, row_scope: Q(pk__in=[]),
    "students.Hold": lambda model, row_scope: Q(pk__in=[]),
}


def filter_by_scope(rows: S, row_scope: RowScope | type[RowScopeParameters] | None, *, to_change: bool = False) -> S:
    """
    Return the rows that lie within the scope; all rows if ``row_scope`` is None.

    ``to_change`` selects the rows that may be changed. Raise ``KeyError`` for a model without a condition.
    """
    if row_scope is None:
        return rows
    table = CHANGEABLE_ROWS if to_change else VISIBLE_ROWS
    return rows.filter(table[rows.model._meta.label](rows.model, row_scope))


def check_can_add(model: type[Model], row_scope: RowScope | None) -> None:
    """Raise ``Refused`` if no new row of this model can lie within the scope."""
    if row_scope is not None and not row_scope.can_add(model):
        raise Refused([outside_scope_refusal()])


def check_in_scope(row: Model, row_scope: RowScope | None) -> None:
    """Raise ``Refused`` if a row may not be changed under this scope."""
    if row_scope is None:
        return
    same = type(row)._base_manager.filter(pk=row.pk)
    if not filter_by_scope(same, row_scope, to_change=True).exists():
        raise Refused([outside_scope_refusal()])


def outside_scope_refusal() -> Refusal:
    message = _("This client is limited to certain terms or courses, and this object would be outside them.")
    return Refusal("outside_limits", message, _("Outside the client's limits"))
