"""
What of the school a client or a member of staff may see and change: everything, or what lies in some terms and courses.

Every door of a program and every page of the admin narrows its rows by ``within``, and by nothing else. Students and
imports have no term of their own: who is limited sees the students who have or had a place in the own courses, and
changes none; and the imports of enrollments that they have sent themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from school.models import ApiClient
from school.refusals import Refusal, Refused

OWN_COURSES_ONLY = "courses.own_courses_only"

S = TypeVar("S", bound=QuerySet[Any])
Condition = Callable[[type[Any], "Limits"], Q]


@dataclass(frozen=True, slots=True)
class Limits:
    """The terms and courses that somebody is limited to, the terms of these courses, and whose limits they are."""

    account: int
    terms: frozenset[int]
    courses: frozenset[int]
    terms_of_courses: frozenset[int]

    def may_add(self, model: type[Model]) -> bool:
        """Tell whether a new row of this kind could lie within: a course in one of the terms."""
        return model._meta.label == "courses.Course" and bool(self.terms)


def limits_of_client(client: ApiClient) -> Limits | None:
    """Return what a client is limited to, None for everything."""
    if not client.is_limited or client.user_id is None:
        return None
    courses = dict(client.courses.values_list("pk", "term"))
    terms = frozenset(client.terms.values_list("pk", flat=True))
    return Limits(client.user_id, terms, frozenset(courses), frozenset(filter(None, courses.values())))


def limits_of_account(account_id: int | None) -> Limits | None:
    """Return what an account, of a client or of a person, is limited to, None for everything."""
    if account_id is None:
        return None
    client = ApiClient.objects.filter(user=account_id, is_limited=True).first()
    return limits_of_client(client) if client else limits_of_staff(get_user_model().objects.get(pk=account_id))


def limits_of_staff(user: Any) -> Limits | None:
    """Return what a user is limited to: to own courses with ``own_courses_only``, None for everything."""
    if user.is_superuser or not user.has_perm(OWN_COURSES_ONLY):
        return None
    if not hasattr(user, "limits"):  # asked once for each request
        courses = dict(user.staff_of.values_list("course", "course__term"))
        user.limits = Limits(user.pk, frozenset(), frozenset(courses), frozenset(filter(None, courses.values())))
    limits: Limits = user.limits
    return limits


def _in_courses(path: str = "") -> Condition:
    def condition(model: type[Any], limits: Limits) -> Q:
        course = model
        for name in path.split("__") if path else ():
            course = course._meta.get_field(name).related_model
        own = course.objects.filter(Q(term__in=limits.terms) | Q(pk__in=limits.courses))
        return Q(**{f"{path or 'pk'}__in": own.values("pk")})

    return condition


def _with_a_place(model: type[Any], limits: Limits) -> Q:
    places: Any = model._meta.get_field("enrollments").related_model
    return Q(pk__in=within(places.objects.all(), limits).values("student"))


def _sent_by_itself(model: type[Any], limits: Limits) -> Q:
    return Q(actor=limits.account) & (Q(kind="enrollments") | Q(kind="undo", undoes__kind="enrollments"))


# By kind of row: which of them lie within.
SEEN: Mapping[str, Condition] = {
    "courses.Term": lambda model, limits: Q(pk__in=limits.terms | limits.terms_of_courses),
    "courses.Course": _in_courses(),
    "students.Student": _with_a_place,
    "students.StudentCourse": _in_courses("course"),
    "students.EnrollmentEvent": _in_courses("enrollment__course"),
    "students.RefusedAct": _in_courses("course"),
    "bulk.Import": _sent_by_itself,
}
# Where less may be changed than is seen.
CHANGED: Mapping[str, Condition] = {
    **SEEN,
    "courses.Term": lambda model, limits: Q(pk__in=limits.terms),
    "students.Student": lambda model, limits: Q(pk__in=[]),
}


def within(rows: S, limits: Limits | None, *, to_change: bool = False) -> S:
    """Return the rows that lie within the limits: all of them without any. No kind of row is forgotten: KeyError."""
    if limits is None:
        return rows
    table = CHANGED if to_change else SEEN
    return rows.filter(table[rows.model._meta.label](rows.model, limits))


def refuse_to_add(model: type[Model], limits: Limits | None) -> None:
    """Raise ``Refused`` where a new row of this kind would lie outside of the limits."""
    if limits is not None and not limits.may_add(model):
        raise Refused([outside_limits()])


def refuse_outside(row: Model, limits: Limits | None) -> None:
    """Raise ``Refused`` where a row that is seen, or was just written, may not be changed or lie where it does."""
    if limits is None:
        return
    same = type(row)._base_manager.filter(pk=row.pk)
    if not within(same, limits, to_change=True).exists():
        raise Refused([outside_limits()])


def outside_limits() -> Refusal:
    message = _("This client is limited to terms or courses, and this would lie outside of them.")
    return Refusal("outside_limits", message, _("Outside of the client's limits"))
