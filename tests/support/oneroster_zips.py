"""Builds zips of OneRoster 1.1 and 1.2, and reads what imports of them did."""

from bulk.importers.import_parts import parts_of
from bulk.models import OnError
from bulk.reports import Report
from students.models import StudentCourse
from tests.bulk.test_zips import imported, zipped_as

LEVEL = {"level": "introductory"}
COMMON = "sourcedId,status,dateLastModified"
PERSON = "username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password"
HEADERS = {
    "orgs": f"{COMMON},name,type,identifier,parentSourcedId",
    "academicSessions": f"{COMMON},title,type,startDate,endDate,parentSourcedId,schoolYear",
    "courses": f"{COMMON},schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
    "users": f"{COMMON},enabledUser,{PERSON},userMasterIdentifier,resourceSourcedIds,preferredGivenName,"
    "preferredMiddleName,preferredFamilyName,primaryOrgSourcedId,pronouns",
    "roles": f"{COMMON},userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId",
    "classes": f"{COMMON},title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,"
    "subjects,subjectCodes,periods",
    "enrollments": f"{COMMON},classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
}
HEADERS_V1P1 = {
    **{name: header for name, header in HEADERS.items() if name != "roles"},
    "users": f"{COMMON},enabledUser,orgSourcedIds,role,{PERSON}",
}
UNREAD = {
    "1.1": ["categories", "classResources", "courseResources", "demographics", "lineItems", "resources", "results"],
    "1.2": ["demographics", "userProfiles", "scoreScales"],
}
STAMP = {"status": "active", "dateLastModified": "2026-09-01T08:00:00.000Z"}
GONE = {**STAMP, "status": "tobedeleted"}


def org(name="school", kind="school", parent="", **more):
    return {"sourcedId": name, "name": "School", "type": kind, "parentSourcedId": parent, **more}


def session(name="s-fall", title="Fall 2026", kind="term", parent="s-year", **more):
    days = {"startDate": "2026-08-24", "endDate": "2026-12-18"}
    return {"sourcedId": name, "title": title, "type": kind, **days, "parentSourcedId": parent, **more}


def course(name="co-alg", **more):
    return {"sourcedId": name, "title": "Algebra", "courseCode": "ALG", "orgSourcedId": "school", **more}


def user(name, role="student", **more):
    cells = {"sourcedId": name, "enabledUser": "true", "username": name, "givenName": "Ada", "familyName": "Byron"}
    return {**cells, "primaryOrgSourcedId": "school", "orgSourcedIds": "school", "role": role, **more}


def role(name, kind="student", **more):
    cells = {"sourcedId": f"r-{name}-{kind}", "userSourcedId": name, "roleType": "primary", "role": kind}
    return {**cells, "orgSourcedId": "school", **more}


def klass(name="c-1", code="ALG-1", term="s-fall", **more):
    cells = {"sourcedId": name, "title": "Algebra 1", "courseSourcedId": "co-alg", "classCode": code}
    return {**cells, "classType": "scheduled", "schoolSourcedId": "school", "termSourcedIds": term, **more}


def enrollment(user_id, class_id="c-1", kind="student", **more):
    cells = {"sourcedId": f"e-{user_id}-{class_id}", "classSourcedId": class_id, "schoolSourcedId": "school"}
    return {**cells, "userSourcedId": user_id, "role": kind, "primary": "false", **more}


def rows(version="1.2"):
    """Return a valid bundle: the rows of each file, by the name of the file."""
    found = {
        "orgs": [org("district", "district"), org(parent="district")],
        "academicSessions": [session("s-year", "2026/27", "schoolYear", "", schoolYear="2027"), session()],
        "courses": [course()],
        "users": [user("u-1"), user("u-2"), user("t-1", "teacher")],
        "roles": [role("u-1"), role("u-2"), role("t-1", "teacher")],
        "classes": [klass()],
        "enrollments": [enrollment("u-1"), enrollment("u-2"), enrollment("t-1", kind="teacher")],
    }
    return found if version == "1.2" else {name: each for name, each in found.items() if name != "roles"}


def as_csv(header, records):
    names = header.split(",")
    lines = [",".join(f'"{each.get(name, "")}"' for name in names) for each in records]
    return "\r\n".join([header, *lines, ""])


def manifest(modes, version="1.2", **properties):
    """Return the lines of a manifest that declares the files in ``modes``."""
    lines = {"manifest.version": "1.0", "oneroster.version": version, **properties}
    headers = HEADERS if version == "1.2" else HEADERS_V1P1
    files = dict.fromkeys([*headers, *UNREAD.get(version, ())], "absent") | modes
    lines |= {f"file.{name}": mode for name, mode in files.items()}
    return "\r\n".join(["propertyName,value", *(f"{name},{value}" for name, value in lines.items()), ""])


def bundle(records, *, version="1.2", mode="bulk", modes=None, **texts):
    """Return a zip of these records; ``texts`` replace whole files, and None removes one."""
    headers = HEADERS if version == "1.2" else HEADERS_V1P1
    modes = dict.fromkeys(records, mode) | (modes or {})
    files = {"manifest": manifest(modes, version)}
    files |= {name: as_csv(headers[name], each) for name, each in records.items()}
    files |= texts
    return zipped_as({f"{name}.csv": text for name, text in files.items() if text is not None})


def delta(**records):
    stamped = {name: [STAMP | each for each in file] for name, file in records.items()}
    return bundle(stamped, mode="delta")


def import_bundle(packed, *, on_error=OnError.ABORT, **wish):
    return imported(packed, on_error=on_error, options=LEVEL, **wish)


def outcomes(job, part):
    """Return the outcome, the codes of errors and the note of each row of a part."""
    [found] = [each for each in parts_of(job) if each.name == part]
    results = [row.result for row in Report(job, found).rows()]
    return [(each.outcome, *(error[0] for error in each.errors), *filter(None, [each.note])) for each in results]


def open_enrollments():
    return sorted(
        StudentCourse.objects.open().values_list("student__student_number", "course__code", "course__term__code")
    )
