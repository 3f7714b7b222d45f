"""Zips of OneRoster that contradict their manifest or the standard: nothing of them is written."""

import zipfile

import pytest
from django.core.management import CommandError, call_command

from bulk.models import Import, OnError, State
from bulk.roster_zips import checks
from courses.models import Course, Term
from school.refusals import Refused
from students.models import Student, StudentCourse
from tests.support.imports import work
from tests.support.oneroster_zips import (
    HEADERS,
    HEADERS_V1P1,
    STAMP,
    as_csv,
    bundle,
    course,
    delta,
    enrollment,
    import_bundle,
    klass,
    manifest,
    org,
    role,
    rows,
    session,
    user,
)

pytestmark = pytest.mark.django_db


def problems(packed, **wish):
    """Return the code, the field and the message of each problem of a zip, of which nothing was written."""
    job = import_bundle(packed, on_error=OnError.SKIP, **wish)
    counts = [each.objects.count() for each in (Term, Student, Course, StudentCourse)]
    assert (job.state, job.counts, counts) == (State.FAILED, {}, [0, 0, 0, 0])
    return [(each["code"], each["field"], each["message"]) for each in job.problems]


def added(name, record, version="1.2"):
    """Return a valid bundle with one more row in a file."""
    records = rows(version)
    return bundle(records | {name: [*records[name], record]}, version=version)


FULL = dict.fromkeys(rows(), "bulk")
EMPTY = "This cell must not be empty."
BLANK = "This cell must be empty, because the manifest declares the file as bulk."
USER_ROLES = (
    "aide, counselor, districtAdministrator, guardian, parent, principal, proctor, relative, siteAdministrator, "
    "student, systemAdministrator, teacher"
)
ENROLLMENT_ROLES = "administrator, proctor, student, teacher"
OLD_ENROLLMENT_ROLES = "administrator, aide, proctor, student, teacher"
OLD_USER_ROLES = "administrator, aide, guardian, parent, proctor, relative, student, teacher"


@pytest.mark.parametrize(
    ("text", "code", "place", "message"),
    [
        (
            manifest(FULL | {"users": "full"}),
            "invalid_choice",
            "Row 7: value",
            "full is not one of: absent, bulk, delta.",
        ),
        (manifest(FULL | {"users": ""}), "invalid_choice", "Row 7: value", "Give one of: absent, bulk, delta."),
        (manifest(FULL, "1.0"), "invalid_choice", "Row 3: value", "1.0 is not one of: 1.1, 1.2."),
        (
            manifest(FULL, **{"manifest.version": "2.0"}),
            "invalid_choice",
            "Row 2: value",
            "2.0 is not one of: 1.0.",
        ),
        (
            manifest(FULL).replace("oneroster.version,1.2\r\n", ""),
            "blank",
            "propertyName",
            "The line oneroster.version is missing.",
        ),
        (
            manifest(FULL) + "file.users,absent\r\n",
            "duplicate_id",
            "Row 14: propertyName",
            "Row 7 has the same property.",
        ),
        (
            manifest(FULL).replace("propertyName,", "property,"),
            "wrong_header",
            "Row 1: propertyName",
            "Here the header has “property” and not “propertyName”. The header must be: propertyName,value",
        ),
        (
            manifest(FULL).replace(",", ";"),
            "wrong_header",
            "Row 1: propertyName",
            "The columns must be separated by commas.",
        ),
    ],
)
def test_a_faulty_line_of_the_manifest_is_refused_with_its_row_and_field(text, code, place, message):
    field = place.rpartition(" ")[2]
    assert problems(bundle(rows(), manifest=text)) == [(code, field, f"manifest.csv: {place}: {message}")]


@pytest.mark.parametrize(
    ("name", "code", "place", "message"),
    [
        (
            "users",
            "missing_file",
            "Row 7: value",
            "users.csv is declared as bulk, but the zip does not have it.",
        ),
        (
            "scoreScales",
            "undeclared_file",
            "Row 13: value",
            "scoreScales.csv is declared as absent, but the zip has it.",
        ),
        (
            "categories",
            "undeclared_file",
            "propertyName",
            "The zip has categories.csv, but no line declares it.",
        ),
    ],
)
def test_a_file_that_contradicts_the_manifest_is_refused_with_its_line(name, code, place, message):
    field = place.rpartition(" ")[2]
    texts = {name: None if code == "missing_file" else "a"}
    assert problems(bundle(rows(), **texts)) == [(code, field, f"manifest.csv: {place}: {message}")]


def test_users_of_1_2_without_their_roles_are_refused():
    records = {name: each for name, each in rows().items() if name != "roles"}
    message = "roles.csv has the roles of the users of users.csv. Declare it and add it to the zip."
    assert problems(bundle(records)) == [("missing_file", "value", f"manifest.csv: Row 8: value: {message}")]


@pytest.mark.parametrize("name", ["old/users.csv", "notes/read.me", "a\\b.csv"])
def test_a_file_in_a_folder_is_refused(name):
    packed = bundle(rows())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(name, "a,b")
    packed.seek(0)
    message = f"{name.replace(chr(92), '/')}: The files of a zip of OneRoster must not be in a folder."
    assert problems(packed) == [("file_in_folder", None, message)]


def test_a_zip_whose_files_are_all_in_a_folder_is_refused_for_each_of_them():
    texts = {f"export/{name}": as_csv(HEADERS[name], each) for name, each in rows().items()}
    packed = bundle({}, manifest=None, **texts, **{"export/manifest": manifest(FULL)})
    assert [each[0] for each in problems(packed)] == ["file_in_folder"] * 8


@pytest.mark.parametrize(("name", "kind"), [("Users", "users"), ("Manifest", "manifest")])
def test_two_files_of_one_name_are_refused(name, kind):
    packed = bundle(rows(), **{name: as_csv(HEADERS["users"], [])})
    message = f"The zip has more than one file of {kind}: {kind}.csv, {name}.csv. Send only one."
    assert problems(packed) == [("duplicate_file", None, message)]


@pytest.mark.parametrize(
    ("version", "name", "old", "new", "found", "column"),
    [("1.2", name, header.split(",")[3], "other", "other", header.split(",")[3]) for name, header in HEADERS.items()]
    + [
        ("1.1", name, header.split(",")[-1], "other", "other", header.split(",")[-1])
        for name, header in HEADERS_V1P1.items()
    ]
    + [
        ("1.2", "orgs", "status,dateLastModified", "dateLastModified,status", "dateLastModified", "status"),
        ("1.2", "orgs", "name,", "Name,", "Name", "name"),
        ("1.2", "orgs", "name,", "metadata.a,name,", "metadata.a", "name"),
        ("1.2", "orgs", ",parentSourcedId", "", "", "parentSourcedId"),
        ("1.2", "orgs", ",parentSourcedId", ",parentSourcedId,", "", ""),
        ("1.2", "users", "enabledUser,", "enabledUser,orgSourcedIds,role,", "orgSourcedIds", "username"),
        ("1.1", "users", "orgSourcedIds,role,", "", "username", "orgSourcedIds"),
    ],
)
def test_a_header_other_than_that_of_the_standard_is_refused_with_its_first_wrong_column(
    version, name, old, new, found, column
):
    header = (HEADERS if version == "1.2" else HEADERS_V1P1)[name]
    packed = bundle(rows(version), version=version, **{name: as_csv(header.replace(old, new, 1), rows(version)[name])})
    [(code, field, message)] = problems(packed)
    start = f"{name}.csv: Row 1: {column}: Here the header has “{found}” and not “{column}”. The header must be: "
    assert (code, field, message) == ("wrong_header", column, start + header)


@pytest.mark.parametrize(
    ("name", "record", "number"),
    [
        ("orgs", org("district"), 4),
        ("academicSessions", session("s-year", parent=""), 4),
        ("courses", course(), 3),
        ("users", user("u-1"), 5),
        ("roles", role("u-1"), 5),
        ("classes", klass(), 3),
        ("enrollments", enrollment("u-1"), 5),
    ],
)
def test_an_id_that_two_rows_have_is_refused(name, record, number):
    message = f"{name}.csv: Row {number}: sourcedId: Row 2 has the same id {record['sourcedId']}."
    assert problems(added(name, record)) == [("duplicate_id", "sourcedId", message)]


@pytest.mark.parametrize(
    ("name", "record", "number", "field", "target"),
    [
        ("orgs", org("x", parent="nowhere"), 4, "parentSourcedId", "orgs"),
        ("academicSessions", session("x", parent="nowhere"), 4, "parentSourcedId", "academicSessions"),
        ("courses", course("x", orgSourcedId="nowhere"), 3, "orgSourcedId", "orgs"),
        ("courses", course("x", schoolYearSourcedId="nowhere"), 3, "schoolYearSourcedId", "academicSessions"),
        ("roles", role("u-1", "proctor", orgSourcedId="nowhere"), 5, "orgSourcedId", "orgs"),
        ("roles", role("nowhere"), 5, "userSourcedId", "users"),
        ("classes", klass("x", courseSourcedId="nowhere"), 3, "courseSourcedId", "courses"),
        ("classes", klass("x", term="s-fall,nowhere"), 3, "termSourcedIds", "academicSessions"),
        ("classes", klass("x", schoolSourcedId="nowhere"), 3, "schoolSourcedId", "orgs"),
        ("enrollments", enrollment("u-1", "nowhere"), 5, "classSourcedId", "classes"),
        ("enrollments", enrollment("nowhere"), 5, "userSourcedId", "users"),
        ("enrollments", enrollment("u-1", sourcedId="x", schoolSourcedId="nowhere"), 5, "schoolSourcedId", "orgs"),
    ],
)
def test_a_reference_to_no_row_is_refused(name, record, number, field, target):
    message = f"{name}.csv: Row {number}: {field}: {target}.csv has no row with the id nowhere."
    assert problems(added(name, record)) == [("unknown_reference", field, message)]


def test_an_unknown_org_of_a_user_is_refused_in_both_versions():
    old = added("users", user("x", orgSourcedIds="school,nowhere"), "1.1")
    new = bundle(rows() | {"users": [user("u-1", primaryOrgSourcedId="nowhere"), *rows()["users"][1:]]})
    message = "orgs.csv has no row with the id nowhere."
    assert problems(old) == [("unknown_reference", "orgSourcedIds", f"users.csv: Row 5: orgSourcedIds: {message}")]
    assert problems(new, dataset="new") == [
        ("unknown_reference", "primaryOrgSourcedId", f"users.csv: Row 2: primaryOrgSourcedId: {message}")
    ]


def test_a_reference_of_a_bulk_file_to_an_absent_file_is_refused():
    records = {name: each for name, each in rows().items() if name not in ("orgs", "courses")}
    found = problems(bundle(records))
    assert {(code, field) for code, field, _message in found} == {
        ("unknown_reference", "primaryOrgSourcedId"),
        ("unknown_reference", "orgSourcedId"),
        ("unknown_reference", "courseSourcedId"),
        ("unknown_reference", "schoolSourcedId"),
    }


def test_a_user_of_a_bulk_file_without_a_role_is_refused():
    message = "users.csv: Row 5: sourcedId: roles.csv has no role of this user."
    assert problems(added("users", user("x"))) == [("unknown_reference", "sourcedId", message)]


@pytest.mark.parametrize(
    ("version", "name", "record", "number", "field", "choices"),
    [
        ("1.2", "orgs", org("x", "X"), 4, "type", "department, district, local, national, school, state"),
        ("1.2", "academicSessions", session("x", kind="X"), 4, "type", "gradingPeriod, semester, schoolYear, term"),
        ("1.2", "classes", klass("x", classType="X"), 3, "classType", "homeroom, scheduled"),
        (
            "1.2",
            "enrollments",
            enrollment("u-1", sourcedId="x", kind="X"),
            5,
            "role",
            "administrator, proctor, student, teacher",
        ),
        ("1.2", "enrollments", enrollment("u-1", sourcedId="x", primary="X"), 5, "primary", "true, false"),
        ("1.2", "roles", role("u-1", "X"), 5, "role", USER_ROLES),
        ("1.2", "roles", role("u-1", "proctor", roleType="X"), 5, "roleType", "primary, secondary"),
        ("1.1", "users", user("x", "X"), 5, "role", OLD_USER_ROLES),
        ("1.1", "users", user("x", enabledUser="X"), 5, "enabledUser", "true, false"),
        (
            "1.1",
            "enrollments",
            enrollment("u-1", sourcedId="x", kind="X"),
            5,
            "role",
            "administrator, aide, proctor, student, teacher",
        ),
    ],
)
@pytest.mark.parametrize("value", ["pupil", "STUDENT", "True", "ext:a b"])
def test_a_value_that_is_no_choice_is_refused(version, name, record, number, field, choices, value):
    faulty = {key: value if cell == "X" else cell for key, cell in record.items()}
    message = f"{name}.csv: Row {number}: {field}: {value} is not one of: {choices}."
    assert problems(added(name, faulty, version)) == [("invalid_choice", field, message)]


@pytest.mark.parametrize(
    ("name", "record", "code", "place", "message"),
    [
        ("classes", klass("x", status="active"), "not_blank", "Row 3: status", BLANK),
        ("orgs", org("x", dateLastModified="2026-09-01"), "not_blank", "Row 4: dateLastModified", BLANK),
        ("enrollments", enrollment(""), "blank", "Row 5: userSourcedId", EMPTY),
        (
            "enrollments",
            enrollment("u-1", "c-1", "", sourcedId="x"),
            "blank",
            "Row 5: role",
            EMPTY,
        ),
        ("classes", klass(""), "blank", "Row 3: sourcedId", EMPTY),
        ("academicSessions", session("x", endDate=""), "blank", "Row 4: endDate", EMPTY),
        (
            "academicSessions",
            session("x", startDate="24.08.2026"),
            "invalid",
            "Row 4: startDate",
            "24.08.2026 is not a date. Write it like 2026-08-31.",
        ),
    ],
)
def test_a_faulty_cell_of_a_bulk_file_is_refused(name, record, code, place, message):
    found = problems(added(name, record))
    assert found == [(code, place.rpartition(" ")[2], f"{name}.csv: {place}: {message}")]


@pytest.mark.parametrize(
    ("record", "code", "field", "message"),
    [
        ({"status": ""}, "blank", "status", "Give one of: active, tobedeleted."),
        ({"status": "gone"}, "invalid_choice", "status", "gone is not one of: active, tobedeleted."),
        (
            {"dateLastModified": ""},
            "blank",
            "dateLastModified",
            "Give an instant like 2026-08-31T09:00:00.000Z.",
        ),
        (
            {"dateLastModified": "yesterday"},
            "invalid",
            "dateLastModified",
            "yesterday is not an instant. Write it like 2026-08-31T09:00:00.000Z.",
        ),
    ],
)
def test_a_row_of_a_delta_needs_its_status_and_its_time(record, code, field, message):
    found = problems(delta(users=[user("u-1") | record], roles=[role("u-1")]))
    assert found == [(code, field, f"users.csv: Row 2: {field}: {message}")]


def test_the_role_of_a_student_in_a_delta_needs_the_row_of_the_user():
    found = problems(delta(users=[user("t-1")], roles=[role("t-1", "teacher"), role("t-9", "teacher"), role("u-1")]))
    message = "roles.csv: Row 4: userSourcedId: users.csv has no row with the id u-1."
    assert found == [("unknown_reference", "userSourcedId", message)]


def test_a_delta_beside_a_bulk_file_refers_only_to_rows_of_that_file():
    records = {"orgs": [org()], "enrollments": [enrollment("u-1", schoolSourcedId="nowhere") | STAMP]}
    found = problems(bundle(records, modes={"enrollments": "delta"}))
    message = "enrollments.csv: Row 2: schoolSourcedId: orgs.csv has no row with the id nowhere."
    assert found == [("unknown_reference", "schoolSourcedId", message)]


def test_all_problems_are_reported_in_the_order_of_the_rows_up_to_a_limit():
    faulty = [klass(f"x-{number}", classType="virtual", schoolSourcedId="nowhere") for number in range(60)]
    found = problems(bundle(rows() | {"classes": [*rows()["classes"], *faulty]}))
    places = [(number, field) for number in range(3, 63) for field in ("classType", "schoolSourcedId")]
    assert [each[2].split(":")[1:3] for each in found] == [
        [f" Row {number}", f" {field}"] for number, field in places[: checks.MAX_PROBLEMS]
    ]


def test_references_are_found_across_chunks(monkeypatch):
    monkeypatch.setattr(checks, "CHUNK_SIZE", 2)
    sessions = [session("a", parent="d"), session("b", parent="a"), session("c", parent=""), session("d", parent="")]
    found = problems(
        bundle(
            rows()
            | {"orgs": [org("district", "district"), org(), org("x"), org("y"), org()], "academicSessions": sessions}
        )
    )
    assert [each[2] for each in found] == [
        "orgs.csv: Row 6: sourcedId: Row 3 has the same id school.",
        "classes.csv: Row 2: termSourcedIds: academicSessions.csv has no row with the id s-fall.",
    ]


@pytest.mark.parametrize(
    ("packed", "field", "message", "status"),
    [
        (
            added("classes", klass("x", classType="virtual")),
            "classType",
            "classes.csv: Row 3: classType: virtual is not one of: homeroom, scheduled.",
            200,  # the report has no rows
        ),
        (
            bundle(rows(), manifest=manifest(FULL | {"users": "full"})),
            "value",
            "manifest.csv: Row 7: value: full is not one of: absent, bulk, delta.",
            409,  # the parts of the zip are not known
        ),
    ],
)
def test_the_command_the_api_and_the_admin_refuse_a_zip_with_the_same_problem(
    tmp_path, api, registrar_client, packed, field, message, status
):
    path = tmp_path / "oneroster.zip"
    path.write_bytes(packed.getvalue())

    with pytest.raises(CommandError) as error:
        call_command("import_zip", str(path), "--level", "introductory")
    sent = api.post("/api/v1/imports?kind=zip&dataset=api", path.read_bytes(), content_type="application/zip")
    form = {"kind": "zip", "dataset": "admin", "level": "introductory", "on_error": "abort", "mode": "delta"}
    with path.open("rb") as file:
        registrar_client.post("/admin/bulk/import/add/", {**form, "on_full": "reject", "file": file})
    work()
    answer = api.get(sent["Location"]).json()
    page = registrar_client.get(f"/admin/bulk/import/{Import.objects.latest('pk').pk}/change/").content.decode()

    assert message in str(error.value)
    assert (answer["state"], answer["problems"]) == (
        "failed",
        [{"code": "invalid_choice", "field": field, "message": message}],
    )
    assert api.get(f"{sent['Location']}/report?part=courses").status_code == status
    assert (message in page, Term.objects.count()) == (True, 0)


# The columns of free text and of ids that School does not read, in which any text is accepted.
UNCHECKED = {
    *("sourcedId", "name", "identifier", "title", "schoolYear", "courseCode", "grades", "subjects", "subjectCodes"),
    *("username", "userIds", "givenName", "familyName", "middleName", "email", "sms", "phone", "agentSourcedIds"),
    *("password", "userMasterIdentifier", "resourceSourcedIds", "preferredGivenName", "preferredMiddleName"),
    *("preferredFamilyName", "pronouns", "beginDate", "endDate", "userProfileSourcedId", "classCode", "location"),
    "periods",
}
DAMAGED = [
    (version, name, column)
    for version, headers in (("1.1", HEADERS_V1P1), ("1.2", HEADERS))
    for name, header in headers.items()
    for column in header.split(",")
    if column != "sourcedId"  # other rows refer to it
]


@pytest.mark.parametrize("value", ["nowhere", "n\u00f6, /@", "9" * 5_000])
def test_a_text_in_any_checked_cell_is_refused_and_in_any_other_cell_accepted(value):
    for version, name, column in DAMAGED:
        records = rows(version)
        records[name] = [*records[name][:-1], records[name][-1] | {column: value}]
        packed = bundle(records, version=version)
        try:
            checks.check_roster_zip(packed, packed.getbuffer().nbytes, lambda: None)
            fields = set()
        except Refused as refused:
            start = f"{name}.csv: Row {len(records[name]) + 1}: {column}: "
            fields = {each.field for each in refused.refusals if each.message.startswith(start)}
        is_checked = column not in UNCHECKED or (name, column) == ("academicSessions", "endDate")
        assert (version, name, column, fields) == (version, name, column, {column} if is_checked else set())
