"""
Row-level limits: a client or a member of staff may see and change everything, or only rows of some terms and courses.

The API and every page of the admin filter their rows by ``within``, and by nothing else. Students and imports do not
belong to a term. A limited client or member of staff sees the students that have or had a place in their own courses,
and changes none. A limited client sees the enrollment imports that it has sent; limited staff see no imports.

``OwnCoursesBackend`` restricts the actions of limited staff: it denies every permission that is not in ``STAFF_MAY``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

import school.db.lookups  # noqa: F401  # registers the lookup ``among``
from school.db.compiled_queries import Parameter
from school.i18n.stored_messages import sentence as _
from school.models import ApiClient
from school.refusals import Refusal, Refused

OWN_COURSES_ONLY = "courses.own_courses_only"
# The permissions that groups can grant to staff limited to their own courses. A permission that is not listed is
# denied: a new model or page is closed to them until it is listed here.
STAFF_MAY = frozenset(
    {
        OWN_COURSES_ONLY,
        "courses.view_term",
        "courses.view_course",
        "courses.change_course",
        "students.view_student",
        "students.view_studentcourse",
        "students.add_studentcourse",
        "students.change_studentcourse",
        "students.complete_enrollments",
        "students.waive_rules",
        "students.view_enrollmentevent",
        "students.view_refusedact",
    }
)

S = TypeVar("S", bound=QuerySet[Any])
Condition = Callable[[type[Any], Any], Q]


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The terms and courses that an account is limited to, the terms of these courses, and the account's id.

    ``is_client`` distinguishes clients from staff. A limited client can enroll any student in its courses, and does not
    see the codes of other courses. Limited staff can enroll the students that they see, and see the codes of their
    courses' prerequisites.
    """

    account: int
    terms: frozenset[int]
    courses: frozenset[int]
    terms_of_courses: frozenset[int]
    is_client: bool = True

    @property
    def visible_terms(self) -> Any:
        """The ids of the visible terms: the terms of the limits, and the terms of the courses."""
        return self.terms | self.terms_of_courses

    def may_add(self, model: type[Model]) -> bool:
        """Return True if a new row of this model could lie within the limits: only a course in one of the terms can."""
        return model._meta.label == "courses.Course" and bool(self.terms)


class LimitParameters:
    """Placeholders for the limits in a query that is compiled once, for all limited callers."""

    account = Parameter("account")
    terms = Parameter("terms", is_array=True)
    courses = Parameter("courses", is_array=True)
    visible_terms = Parameter("visible_terms", is_array=True)

    @staticmethod
    def values_of(limits: Limits) -> dict[str, Any]:
        """Return the values of the parameters for a caller."""
        return {name: getattr(limits, name) for name in ("account", "terms", "courses", "visible_terms")}


def limits_of_client(client: ApiClient) -> Limits | None:
    """Return the limits of a client, None for unlimited access."""
    if not client.is_limited or client.user_id is None:
        return None
    courses = dict(client.courses.values_list("pk", "term"))
    terms = frozenset(client.terms.values_list("pk", flat=True))
    return Limits(client.user_id, terms, frozenset(courses), frozenset(filter(None, courses.values())))


def limits_of_account(account_id: int | None) -> Limits | None:
    """Return the limits of an account, of a client or a person; None for unlimited access."""
    if account_id is None:
        return None
    client = ApiClient.objects.filter(user=account_id, is_limited=True).first()
    return limits_of_client(client) if client else limits_of_staff(get_user_model().objects.get(pk=account_id))


def has_own_courses_only(user: Any) -> bool:
    return not user.is_superuser and bool(user.has_perm(OWN_COURSES_ONLY))


class OwnCoursesBackend:
    """
    Denies staff limited to their own courses every permission not in ``STAFF_MAY``, even if their groups grant it.

    It precedes the backends that grant permissions: after ``PermissionDenied``, Django asks no other backend.
    """

    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Return None: this backend logs nobody in."""

    def has_perm(self, user_obj: Any, perm: str, obj: Model | None = None) -> bool:
        if perm not in STAFF_MAY and has_own_courses_only(user_obj):
            raise PermissionDenied
        return False


def limits_of_staff(user: Any) -> Limits | None:
    """Return the limits of a user with ``own_courses_only``: their own courses. None for unlimited access."""
    if not has_own_courses_only(user):
        return None
    if not hasattr(user, "limits"):  # queried once per request
        courses = dict(user.staff_of.values_list("course", "course__term"))
        terms = frozenset(filter(None, courses.values()))
        user.limits = Limits(user.pk, frozenset(), frozenset(courses), terms, is_client=False)
    limits: Limits = user.limits
    return limits


def _in_courses(path: str = "") -> Condition:
    def condition(model: type[Any], limits: Any) -> Q:
        course = model
        for name in path.split("__") if path else ():
            course = course._meta.get_field(name).related_model
        own = course.objects.filter(Q(term__pk__among=limits.terms) | Q(pk__among=limits.courses))
        return Q(**{f"{path or 'pk'}__in": own.values("pk")})

    return condition


def _with_a_place(model: type[Any], limits: Any) -> Q:
    places: Any = model._meta.get_field("enrollments").related_model
    # EXISTS instead of a list of ids: SQLite would build the whole list even for one student.
    return Q(Exists(within(places.objects.filter(student=OuterRef("pk")), limits)))


def _sent_by_itself(model: type[Any], limits: Any) -> Q:
    return Q(Q(actor=limits.account) | Q(client=limits.account)) & (
        Q(kind="enrollments") | Q(kind="undo", undoes__kind="enrollments")
    )


# For each model: the condition for rows that lie within the limits.
SEEN: Mapping[str, Condition] = {
    "courses.Term": lambda model, limits: Q(pk__among=limits.visible_terms),
    "courses.Course": _in_courses(),
    "students.Student": _with_a_place,
    "students.StudentCourse": _in_courses("course"),
    "students.EnrollmentEvent": _in_courses("enrollment__course"),
    "students.RefusedAct": _in_courses("course"),
    "bulk.Import": _sent_by_itself,
}
# The same for rows that may be changed: for some models fewer than are visible.
CHANGED: Mapping[str, Condition] = {
    **SEEN,
    "courses.Term": lambda model, limits: Q(pk__in=limits.terms),
    "students.Student": lambda model, limits: Q(pk__in=[]),
}


def within(rows: S, limits: Limits | type[LimitParameters] | None, *, to_change: bool = False) -> S:
    """
    Return the rows that lie within the limits; all rows if ``limits`` is None.

    ``to_change`` selects the rows that may be changed. Raise ``KeyError`` for a model without a condition.
    """
    if limits is None:
        return rows
    table = CHANGED if to_change else SEEN
    return rows.filter(table[rows.model._meta.label](rows.model, limits))


def refuse_to_add(model: type[Model], limits: Limits | None) -> None:
    """Raise ``Refused`` if no new row of this model can lie within the limits."""
    if limits is not None and not limits.may_add(model):
        raise Refused([outside_limits()])


def refuse_outside(row: Model, limits: Limits | None) -> None:
    """Raise ``Refused`` if a row may not be changed under the limits."""
    if limits is None:
        return
    same = type(row)._base_manager.filter(pk=row.pk)
    if not within(same, limits, to_change=True).exists():
        raise Refused([outside_limits()])


def outside_limits() -> Refusal:
    message = _("This client is limited to certain terms or courses, and this object would be outside them.")
    return Refusal("outside_limits", message, _("Outside the client's limits"))
