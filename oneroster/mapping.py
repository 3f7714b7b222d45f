"""
The mapping of School's records to the objects of OneRoster 1.1 and 1.2, for the REST API and the CSV files.

A ``Kind`` has the fields of an object, by which consumers filter and sort, and builds the object from a row of their
columns. A field that the standard has and School does not is known, and no object has it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, NullIf

from oneroster import sourced_ids
from oneroster.models import (
    ClassRecord,
    CourseRecord,
    EnrollmentRecord,
    OrgRecord,
    Record,
    RecordStatus,
    SessionRecord,
    UserRecord,
)

V1P1, V1P2 = "1.1", "1.2"
# The standard requires both names. A person with one name, or without data, has this in the other.
NO_NAME = "-"


class Type(Enum):
    """How the values of a field are compared."""

    TEXT = "text"
    ID = "id"
    IDS = "ids"  # ids in one text, separated by commas
    DATE = "date"
    INSTANT = "instant"
    CONSTANT = "constant"  # the same text in every object


class Field(NamedTuple):
    type: Type
    expression: Any


class Context(NamedTuple):
    """The version, and the URL that references begin with: the objects depend on both besides the records."""

    version: str
    base_url: str
    org: UUID
    visible_sessions: frozenset[str] | None = None  # of a limited client: the ids of the sessions that it sees

    def reference(self, collection: str, kind: str, sourced_id: Any) -> dict[str, str]:
        return {"href": f"{self.base_url}/{collection}/{sourced_id}", "sourcedId": str(sourced_id), "type": kind}

    def school(self) -> dict[str, str]:
        return self.reference("orgs", "org", self.org)

    def session(self, sourced_id: Any) -> dict[str, str]:
        return self.reference("academicSessions", "academicSession", sourced_id)


@dataclass(frozen=True)
class Kind:
    """
    A kind of object.

    ``absent`` names the fields of the standard that no object has. ``constants`` are the paths whose value is the same
    in every object.
    """

    model: type[Record]
    singular: str
    plural: str
    fields: Mapping[str, Field]
    absent: frozenset[str]
    columns: Sequence[str]
    build: Callable[[Context, Any], dict[str, Any]]
    constants: Mapping[str, Callable[[], str]] = field(default_factory=dict)

    def find_field(self, path: str) -> Field | None:
        """Return the field with this path; None if the standard has no such field."""
        if path in self.constants:
            return Field(Type.CONSTANT, self.constants[path]())
        if path.partition(".")[0] in self.absent:
            return Field(Type.CONSTANT, None)
        return self.fields.get(path)

    @property
    def names(self) -> set[str]:
        """The names of all fields that the standard gives this object."""
        return {path.partition(".")[0] for path in (*self.fields, *self.absent, *self.constants)}

    def objects(self, rows: QuerySet[Any], context: Context, *, as_stream: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the objects of the rows. ``as_stream`` reads many rows in parts, within the caller's transaction."""
        values = rows.annotate(
            **{f"f_{name}": self.fields[name].expression for name in self.columns if name in self.fields}
        ).values_list("sourced_id", "status", "modified_at", *(self._column(name) for name in self.columns))
        for sourced_id, status, modified_at, *columns in values.iterator(chunk_size=2_000) if as_stream else values:
            yield {
                "sourcedId": str(sourced_id),
                "status": status,
                "dateLastModified": format_instant(modified_at),
                **self.build(context, columns),
            }

    def _column(self, name: str) -> str:
        return f"f_{name}" if name in self.fields else name


@lru_cache(maxsize=1_000)
def format_instant(instant: datetime) -> str:
    """Return an instant in UTC, with milliseconds."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03}Z"


def _text(expression: Any) -> Field:
    return Field(Type.TEXT, F(expression) if isinstance(expression, str) else expression)


def _id(column: str) -> Field:
    return Field(Type.ID, F(column))


def _date(column: str) -> Field:
    return Field(Type.DATE, F(column))


COMMON = {
    "sourcedId": _id("sourced_id"),
    "status": _text("status"),
    "dateLastModified": Field(Type.INSTANT, F("modified_at")),
}


def _reference_type(name: str, kind: str) -> dict[str, Callable[[], str]]:
    return {f"{name}.type": lambda: kind}


def _school(name: str) -> dict[str, Callable[[], str]]:
    return {f"{name}.sourcedId": lambda: str(sourced_ids.org_id()), f"{name}.type": lambda: "org"}


def _build_org(context: Context, columns: Any) -> dict[str, Any]:
    name, identifier = columns
    return {"name": name, "type": "school", "identifier": identifier}


ORG = Kind(
    OrgRecord,
    "org",
    "orgs",
    {**COMMON, "name": _text("name"), "identifier": _text("identifier")},
    frozenset({"parent", "children", "metadata"}),
    ("name", "identifier"),
    _build_org,
    {"type": lambda: "school"},
)


def _build_session(context: Context, columns: Any) -> dict[str, Any]:
    title, begin_on, end_on, type_, parent, children, school_year = columns
    session: dict[str, Any] = {
        "title": title,
        "startDate": begin_on.isoformat(),
        "endDate": end_on.isoformat(),
        "type": type_,
        "schoolYear": school_year,
    }
    if parent:
        session["parent"] = context.session(parent)
    if children:
        visible = context.visible_sessions
        session["children"] = [
            context.session(child) for child in children.split(",") if visible is None or child in visible
        ]
    return session


SESSION = Kind(
    SessionRecord,
    "academicSession",
    "academicSessions",
    {
        **COMMON,
        "title": _text("title"),
        "startDate": _date("begin_on"),
        "endDate": _date("end_on"),
        "type": _text("type"),
        "parent.sourcedId": _id("parent_ref"),
        "children.sourcedId": Field(Type.IDS, F("children")),
        "schoolYear": _text("school_year"),
    },
    frozenset({"metadata"}),
    ("title", "begin_on", "end_on", "type", "parent_ref", "children", "school_year"),
    _build_session,
    {**_reference_type("parent", "academicSession"), **_reference_type("children", "academicSession")},
)


def _build_course(context: Context, columns: Any) -> dict[str, Any]:
    code, title = columns
    return {"title": title, "courseCode": code, "org": context.school()}


COURSE = Kind(
    CourseRecord,
    "course",
    "courses",
    {**COMMON, "title": _text("title"), "courseCode": _text("code")},
    frozenset({"schoolYear", "grades", "subjects", "subjectCodes", "resources", "metadata"}),
    ("code", "title"),
    _build_course,
    _school("org"),
)


def _build_class(context: Context, columns: Any) -> dict[str, Any]:
    title, code, course, session = columns
    return {
        "title": title,
        "classCode": code,
        "classType": "scheduled",
        "course": context.reference("courses", "course", course),
        "school": context.school(),
        "terms": [context.session(session)],
    }


CLASS = Kind(
    ClassRecord,
    "class",
    "classes",
    {
        **COMMON,
        "title": _text("title"),
        "classCode": _text("code"),
        "course.sourcedId": _id("course_ref"),
        "terms.sourcedId": _id("session_ref"),
    },
    frozenset({"location", "grades", "subjects", "subjectCodes", "periods", "resources", "metadata"}),
    ("title", "code", "course_ref", "session_ref"),
    _build_class,
    {
        "classType": lambda: "scheduled",
        **_school("school"),
        **_reference_type("course", "course"),
        **_reference_type("terms", "academicSession"),
    },
)

_IS_SHOWN = Q(status=RecordStatus.ACTIVE)


def _personal(student: str, account: str, default: str | None = None) -> Field:
    """Return the field of a column of the student or the account. A removed record has no personal data."""
    shown = Coalesce(NullIf(F(f"student__{student}"), Value("")), NullIf(F(f"account__{account}"), Value("")))
    otherwise = Value(default, output_field=CharField())
    return _text(
        Case(
            When(_IS_SHOWN, then=shown if default is None else Coalesce(shown, otherwise)),
            default=otherwise,
            output_field=CharField(),
        )
    )


_ENABLED = Case(
    When(_IS_SHOWN & (Q(student__is_active=True) | Q(account__is_active=True)), then=Value("true")),
    default=Value("false"),
    output_field=CharField(),
)


def _build_user(context: Context, columns: Any) -> dict[str, Any]:
    username, is_enabled, given_name, family_name, identifier, email, role = columns
    school = context.school()
    user: dict[str, Any] = {"givenName": given_name, "familyName": family_name}
    if username:
        user |= {"username": username, "identifier": identifier}
    if email:
        user["email"] = email
    if context.version == V1P1:
        # Consumers of 1.1 require these two of every user.
        user.setdefault("username", NO_NAME)
        return {**user, "enabledUser": is_enabled == "true", "role": role, "orgs": [school]}
    role_of_user = {"roleType": "primary", "role": role, "org": school}
    return {**user, "enabledUser": is_enabled, "roles": [role_of_user], "primaryOrg": school}


_USER_FIELDS = {
    **COMMON,
    "username": _personal("student_number", "username"),
    "enabledUser": _text(_ENABLED),
    "givenName": _personal("given_name", "first_name", NO_NAME),
    "familyName": _personal("family_name", "last_name", NO_NAME),
    "identifier": _personal("student_number", "username"),
    "email": _personal("email", "email"),
}
_USER_COLUMNS = ("username", "enabledUser", "givenName", "familyName", "identifier", "email", "role")
_ABSENT_OF_USER = {"userIds", "middleName", "sms", "phone", "agents", "grades", "password", "metadata"}

USER = Kind(
    UserRecord,
    "user",
    "users",
    {**_USER_FIELDS, "roles.role": _text("role")},
    frozenset(
        {
            *_ABSENT_OF_USER,
            "userMasterIdentifier",
            "preferredFirstName",
            "preferredMiddleName",
            "preferredLastName",
            "pronouns",
            "userProfiles",
            "resources",
        }
    ),
    _USER_COLUMNS,
    _build_user,
    {"roles.roleType": lambda: "primary", **_school("roles.org"), **_school("primaryOrg")},
)

USER_V1P1 = Kind(
    UserRecord,
    "user",
    "users",
    {**_USER_FIELDS, "role": _text("role")},
    frozenset(_ABSENT_OF_USER),
    _USER_COLUMNS,
    _build_user,
    _school("orgs"),
)


def _build_enrollment(context: Context, columns: Any) -> dict[str, Any]:
    user, clazz, role, begin_on, end_on = columns
    return {
        "user": context.reference("users", "user", user),
        "class": context.reference("classes", "class", clazz),
        "school": context.school(),
        "role": role,
        "beginDate": begin_on.isoformat(),
        "endDate": end_on.isoformat(),
    }


ENROLLMENT = Kind(
    EnrollmentRecord,
    "enrollment",
    "enrollments",
    {
        **COMMON,
        "user.sourcedId": _id("user_ref"),
        "class.sourcedId": _id("class_ref"),
        "role": _text("role"),
        "beginDate": _date("begin_on"),
        "endDate": _date("end_on"),
    },
    frozenset({"primary", "metadata"}),
    ("user_ref", "class_ref", "role", "begin_on", "end_on"),
    _build_enrollment,
    {**_school("school"), **_reference_type("user", "user"), **_reference_type("class", "class")},
)


def kinds(version: str) -> tuple[Kind, ...]:
    """Return the kinds of objects in this version of the standard."""
    return ORG, SESSION, COURSE, CLASS, USER_V1P1 if version == V1P1 else USER, ENROLLMENT
