"""The CSV files of OneRoster: their headers and rows, the manifest, deltas, and the entry points."""

import csv
import io
import stat
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command

from courses.api_client_creation import create_api_client
from courses.models import CourseStaff
from oneroster import sourced_ids
from oneroster.bundle import FILES, MANIFEST_FILES, VERSIONS, stream_bundle
from oneroster.models import ClassRecord, EnrollmentRecord, UserRecord
from oneroster.publishing import publish
from school.models import PersonalDataAccess
from tests.oneroster.rosters import V1P2, get_list, make_roster
from tests.oneroster.test_access import caller, take_token
from tests.support.factories import CANARY, make_student

pytestmark = pytest.mark.django_db

FIRST = "sourcedId,status,dateLastModified"
HEADERS = {
    "academicSessions.csv": "title,type,startDate,endDate,parentSourcedId,schoolYear",
    "classes.csv": "title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,"
    "subjectCodes,periods",
    "courses.csv": "schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
    "enrollments.csv": "classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
    "orgs.csv": "name,type,identifier,parentSourcedId",
}
HEADERS_OF_V1P1 = {
    **HEADERS,
    "users.csv": "enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,"
    "phone,agentSourcedIds,grades,password",
}
HEADERS_OF_V1P2 = {
    **HEADERS,
    "roles.csv": "userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId",
    "users.csv": "enabledUser,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,"
    "agentSourcedIds,grades,password,userMasterIdentifier,resourceSourcedIds,preferredGivenName,preferredMiddleName,"
    "preferredFamilyName,primaryOrgSourcedId,pronouns",
}
# For each column with a reference, the file that it leads to.
REFERENCES = {
    "parentSourcedId": "academicSessions.csv",
    "courseSourcedId": "courses.csv",
    "schoolSourcedId": "orgs.csv",
    "termSourcedIds": "academicSessions.csv",
    "orgSourcedId": "orgs.csv",
    "orgSourcedIds": "orgs.csv",
    "primaryOrgSourcedId": "orgs.csv",
    "classSourcedId": "classes.csv",
    "userSourcedId": "users.csv",
}


@pytest.fixture
def roster(actor):
    return make_roster(actor)


def read(content):
    """Return the rows of each file of a zip."""
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {name for name, text in texts.items() if text.count("\n") != text.count("\r\n")} == set()
    return {name: list(csv.DictReader(io.StringIO(text, newline=""))) for name, text in texts.items()}


def bundle(version, **options):
    publish()
    return read(b"".join(stream_bundle(version, **options)))


def headers(content):
    with ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode().splitlines()[0] for name in archive.namelist()}


def test_the_headers_have_the_order_of_the_standard(roster):
    publish()
    for version, expected in zip(VERSIONS, (HEADERS_OF_V1P1, HEADERS_OF_V1P2), strict=True):
        found = headers(b"".join(stream_bundle(version)))
        assert found.pop("manifest.csv") == "propertyName,value"
        assert found == {name: f"{FIRST},{columns}" for name, columns in expected.items()}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("since", [None, datetime(2020, 1, 1, tzinfo=UTC)])
def test_the_manifest_names_every_file_of_the_binding(roster, version, since):
    files = bundle(version, since=since)
    manifest = {row["propertyName"]: row["value"] for row in files.pop("manifest.csv")}

    assert (manifest.pop("manifest.version"), manifest.pop("oneroster.version")) == ("1.0", version)
    assert (manifest.pop("source.systemName"), manifest.pop("source.systemCode")) == ("School", "")
    mode = "bulk" if since is None else "delta"
    assert manifest == {
        f"file.{name}": mode if f"{name}.csv" in files else "absent" for name in MANIFEST_FILES[version]
    }
    assert len(MANIFEST_FILES[version]) == {"1.1": 13, "1.2": 21}[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bulk_export_has_what_exists_with_whole_references(roster, version):
    files = bundle(version)
    ids = {name: {row.get("sourcedId") for row in rows} for name, rows in files.items()}

    for name, rows in files.items():
        if name == "manifest.csv":
            continue
        assert len(rows) == len(ids[name])
        for row in rows:
            assert (row["status"], row["dateLastModified"]) == ("", "")
            for column, target in REFERENCES.items():
                found = {each for each in row.get(column, "").split(",") if each}
                assert (name, column, found - ids[target]) == (name, column, set())
    assert [len(files[f"{name}.csv"]) for name in ("users", "enrollments", "classes", "orgs")] == [4, 3, 1, 1]


def test_the_cells_of_1_1_and_1_2(roster):
    old, new = bundle("1.1"), bundle("1.2")
    teacher = roster.single("teachers")
    [of_old] = [row for row in old["users.csv"] if row["sourcedId"] == teacher]
    [of_new] = [row for row in new["users.csv"] if row["sourcedId"] == teacher]
    [role] = [row for row in new["roles.csv"] if row["userSourcedId"] == teacher]
    [enrollment] = [row for row in new["enrollments.csv"] if row["userSourcedId"] == teacher]

    assert (of_old["enabledUser"], of_old["role"], of_old["orgSourcedIds"]) == (
        "true",
        "teacher",
        roster.single("orgs"),
    )
    assert (of_new["enabledUser"], of_new["username"], of_new["givenName"]) == ("true", roster.teacher.username, "Tea")
    assert (role["roleType"], role["role"], role["orgSourcedId"]) == ("primary", "teacher", roster.single("orgs"))
    assert (enrollment["role"], enrollment["beginDate"], enrollment["endDate"]) == (
        "teacher",
        "2026-01-01",
        "2099-06-30",
    )


def test_a_delta_has_only_what_has_changed_with_its_status(roster):
    publish()
    since = max(
        model.objects.order_by("-modified_at").values_list("modified_at", flat=True)[0]
        for model in (ClassRecord, EnrollmentRecord, UserRecord)
    )
    CourseStaff.objects.all().delete()
    for version in VERSIONS:
        files = bundle(version, since=since)
        del files["manifest.csv"]
        rows = {name: [(row["sourcedId"], row["status"]) for row in found] for name, found in files.items() if found}
        assert rows.pop("users.csv") == [(roster.single("teachers"), "tobedeleted")]
        assert len(rows.pop("enrollments.csv")) == 1
        rows.pop("roles.csv", None)
        assert rows == {}
        assert CANARY.lower() not in str(files).lower()


def test_quotes_commas_and_formulas_stay_as_they_are(roster):
    make_student(student_number="odd", given_name='=A, "B"', family_name="ä")
    [row] = [row for row in bundle("1.2")["users.csv"] if row["username"] == "odd"]

    assert (row["givenName"], row["familyName"]) == ('=A, "B"', "ä")


def test_an_empty_school_has_all_files():
    for version in VERSIONS:
        files = bundle(version)
        assert {f"{file.name}.csv" for file in FILES[version]} | {"manifest.csv"} == set(files)
        assert [len(rows) for name, rows in files.items() if name not in ("manifest.csv", "orgs.csv")] == [0] * (
            len(files) - 2
        )


def test_the_command_writes_a_private_zip_and_records_it(roster, tmp_path):
    file = tmp_path / "roster.zip"
    call_command("export_oneroster", str(file), "--version", "1.1")

    assert read(file.read_bytes()) == bundle("1.1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [entry] = PersonalDataAccess.objects.filter(action="exported")
    assert (entry.door, entry.subject) == ("command", "enrollments")


def test_the_command_writes_a_delta(roster, tmp_path):
    file = tmp_path / "roster.zip"
    call_command("export_oneroster", str(file), "--delta-since", "2020-01-01T00:00:00Z")

    assert read(file.read_bytes()) == bundle("1.2", since=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.zip", "--delta-since", "yesterday"], "--delta-since: Write the date and time with its UTC offset"),
        (["out.zip", "--version", "1.0"], "invalid choice"),
        (["no/such/folder/out.zip"], "Cannot write no/such/folder/out.zip"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=message):
        call_command("export_oneroster", *arguments)
    assert list(Path().iterdir()) == []


def test_the_api_answers_with_the_zip(make_client, roster):
    client = make_client("rosters:read")
    answer = client.get("/api/v1/exports/oneroster", {"version": "1.1"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="oneroster-1.1.zip"'
    assert read(b"".join(answer.streaming_content)) == bundle("1.1")
    [entry] = PersonalDataAccess.objects.filter(action="exported")
    assert (entry.door, entry.subject) == ("api", "enrollments")


@pytest.mark.parametrize(
    "query", ["version=1.0", "version=", "delta_since=yesterday", "since=2020-01-01", "version=1.1&version=1.2"]
)
def test_the_api_refuses_invalid_parameters(make_client, query):
    answer = make_client("rosters:read").get(f"/api/v1/exports/oneroster?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_the_export_of_a_limited_client_has_only_its_own(roster, actor):
    make_roster(actor, "foreign")
    client = caller(take_token(create_api_client("limited", "rosters:read", terms=[roster.term.code])))
    files = read(b"".join(client.get("/api/v1/exports/oneroster").streaming_content))

    assert "foreign" not in str(files)
    assert {row["sourcedId"] for row in files["users.csv"]} == {
        each["sourcedId"] for each in get_list(client, f"{V1P2}/users")
    }
    assert str(sourced_ids.student_id(roster.student.pk)) in {row["sourcedId"] for row in files["users.csv"]}
