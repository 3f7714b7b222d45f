"""
The files of the CSV binding of OneRoster 1.1 and 1.2 that School reads: their columns, choices and references.

The other files of the binding are only named here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

V1P1, V1P2 = "1.1", "1.2"
VERSIONS = (V1P1, V1P2)
BULK, DELTA, ABSENT = "bulk", "delta", "absent"
ACTIVE, TO_BE_DELETED = "active", "tobedeleted"
BOOLEANS = ("true", "false")
# Version 1.2 lets senders add choices of their own to most lists.
EXTENSION = re.compile(r"ext:[A-Za-z0-9.\-_]+")

SESSION_TYPES = ("gradingPeriod", "semester", "schoolYear", "term")
ORG_TYPES = ("department", "district", "local", "national", "school", "state")
CLASS_TYPES = ("homeroom", "scheduled")
ROLE_TYPES = ("primary", "secondary")
USER_ROLES = {
    V1P1: ("administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"),
    V1P2: (
        *("aide", "counselor", "districtAdministrator", "guardian", "parent", "principal", "proctor", "relative"),
        *("siteAdministrator", "student", "systemAdministrator", "teacher"),
    ),
}
ENROLLMENT_ROLES = {
    V1P1: ("administrator", "aide", "proctor", "student", "teacher"),
    V1P2: ("administrator", "proctor", "student", "teacher"),
}


@dataclass(frozen=True)
class Field:
    """
    A column of a file.

    ``refers_to`` is the file whose ids the column has. A column with ``is_list`` has several, separated by commas. With
    ``may_lack``, some programs write the file without the column.
    """

    name: str
    required: bool = False
    choices: tuple[str, ...] = ()
    is_extensible: bool = False
    refers_to: str = ""
    is_list: bool = False
    is_date: bool = False
    may_lack: bool = False


class RosterFile(NamedTuple):
    """A file of the binding. Its rows refer only to rows of the same file or of files before it."""

    name: str
    fields: tuple[Field, ...]

    @property
    def file_name(self) -> str:
        return f"{self.name}.csv"

    def accepts_header(self, header: list[str]) -> bool:
        """Return True for the columns of the binding in their order, with columns metadata.* after them, or without."""
        names = list(header)
        while names and names[-1].startswith("metadata."):
            names.pop()
        for field in self.fields:
            if names and names[0] == field.name:
                names.pop(0)
            elif not field.may_lack:
                return False
        return not names


def _file(name: str, *columns: Field | str) -> RosterFile:
    fields = [each if isinstance(each, Field) else Field(each) for each in columns]
    common = (Field("sourcedId", required=True), Field("status"), Field("dateLastModified"))
    return RosterFile(name, (*common, *fields))


def _reference(name: str, file: str, *, required: bool = True) -> Field:
    return Field(name, required=required, refers_to=file, is_list=name.endswith("Ids"))


def _choice(name: str, choices: tuple[str, ...], *, required: bool = False, is_extensible: bool = False) -> Field:
    return Field(name, required=required, choices=choices, is_extensible=is_extensible)


def _files(version: str) -> tuple[RosterFile, ...]:
    is_extensible = version == V1P2
    person = (
        *("username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms", "phone"),
        *("agentSourcedIds", "grades", "password"),
    )
    user_role = _choice("role", USER_ROLES[version], required=True, is_extensible=is_extensible)
    enabled = _choice("enabledUser", BOOLEANS)
    if version == V1P1:
        users = [_file("users", enabled, _reference("orgSourcedIds", "orgs"), user_role, *person)]
    else:
        users = [
            _file(
                *("users", enabled, *person, "userMasterIdentifier", Field("resourceSourcedIds", may_lack=True)),
                *("preferredGivenName", "preferredMiddleName", "preferredFamilyName"),
                _reference("primaryOrgSourcedId", "orgs", required=False),
                Field("pronouns", may_lack=True),
            ),
            _file(
                *("roles", _reference("userSourcedId", "users"), _choice("roleType", ROLE_TYPES), user_role),
                *("beginDate", "endDate", _reference("orgSourcedId", "orgs"), "userProfileSourcedId"),
            ),
        ]
    return (
        _file(
            *("orgs", "name", _choice("type", ORG_TYPES, is_extensible=is_extensible), "identifier"),
            _reference("parentSourcedId", "orgs", required=False),
        ),
        _file(
            *("academicSessions", "title"),
            _choice("type", SESSION_TYPES, required=True, is_extensible=is_extensible),
            *(Field(name, required=True, is_date=True) for name in ("startDate", "endDate")),
            *(_reference("parentSourcedId", "academicSessions", required=False), "schoolYear"),
        ),
        _file(
            *("courses", _reference("schoolYearSourcedId", "academicSessions", required=False), "title", "courseCode"),
            *("grades", _reference("orgSourcedId", "orgs"), "subjects", "subjectCodes"),
        ),
        *users,
        _file(
            *("classes", "title", "grades", _reference("courseSourcedId", "courses"), "classCode"),
            *(_choice("classType", CLASS_TYPES, is_extensible=is_extensible), "location"),
            *(_reference("schoolSourcedId", "orgs"), _reference("termSourcedIds", "academicSessions")),
            *("subjects", "subjectCodes", "periods"),
        ),
        _file(
            *("enrollments", _reference("classSourcedId", "classes"), _reference("schoolSourcedId", "orgs")),
            _reference("userSourcedId", "users"),
            _choice("role", ENROLLMENT_ROLES[version], required=True, is_extensible=is_extensible),
            *(_choice("primary", BOOLEANS), "beginDate", "endDate"),
        ),
    )


# The files that School reads, by version; each file is after those that it refers to.
FILES: Mapping[str, tuple[RosterFile, ...]] = {version: _files(version) for version in VERSIONS}

_UNREAD_V1P1 = ("categories", "classResources", "courseResources", "demographics", "lineItems", "resources", "results")
# The files of the binding that School does not read, by version.
UNREAD_FILES: Mapping[str, tuple[str, ...]] = {
    V1P1: _UNREAD_V1P1,
    V1P2: (
        *_UNREAD_V1P1,
        *("lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds", "resultScoreScales"),
        *("scoreScales", "userProfiles", "userResources"),
    ),
}
