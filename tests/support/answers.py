"""
Record the responses of the API to several hundred requests, and compare them after a change.

    python -m tests.support.answers record FILE      python -m tests.support.answers compare FILE

The requests are lists with all parameters, single objects, writes, refusals and conditional requests, by each caller.
Record before a change and compare after it, on each database (``DATABASE_URL``). The clock is frozen, so everything
is comparable except request ids and ETags; of an ETag only the strength is recorded. The exit code is 1 if responses
differ.
"""

import tests.support.environment  # noqa: F401, I001  # sets the environment that the settings read

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import time_machine

DATA_MADE = "2026-09-15T08:00:00Z"
ASKED = "2026-09-15T09:00:00Z"
MASKED = {"X-Request-ID", "Content-Length"}
DIFFERENCES_SHOWN = 60

# The queries of each list, by its path.
LISTS = {
    "students": """
        is_active=true student_number=S-0003 updated_since=2026-01-01T00:00:00Z search=ada page_size=3
        ordering=-family_name ordering=student_number&page_size=4 fields=id,email is_active=false&ordering=-id
        search=zoë%20li updated_since=2027-01-01T00:00:00Z
    """,
    "courses": """
        term=2026F level=graduate is_active=true capacity=3 has_seats=true has_seats=false search=kurs
        ordering=-code&page_size=2 fields=id,seats updated_since=2026-01-01T00:00:00Z code=C-1
        term=2026F&has_seats=true&ordering=name fields=warnings,prerequisites page_size=2
    """,
    "terms": """
        code=2026F running_on=2026-10-01 ordering=code page_size=1 search=fall fields=code
        updated_since=2026-01-01T00:00:00Z page_size=1&ordering=-starts_on
    """,
    "students/1/courses": """
        status=all status=completed,dropped status=enrolled&status=waitlisted term=2026F course=1
        course=code:C-1@2026F course_code=C-1 level=introductory updated_since=2026-01-01T00:00:00Z
        ordering=course_code ordering=-course_code&page_size=2 ordering=-updated_at&status=all
        fields=id,status,course expand=student expand=course,student page_size=2 status=all&term=2026F&ordering=-id
        expand=course&fields=course
    """,
    "courses/1/students": """
        status=all student=2 student=number:S-0002 student_number=S-0003 search=ada search=ada%20byron
        search=zo%C3%AB ordering=family_name ordering=-family_name&page_size=2 ordering=-updated_at
        updated_since=2026-01-01T00:00:00Z fields=id,waitlist_position expand=student expand=course&status=all
        page_size=3 status=waitlisted
    """,
    "enrollments": """
        status=all term=2026F level=introductory student=1 student=number:S-0001 student=number:none course=2
        course=code:C-2@2026F course=code:nothing course=code:TWICE student_number=S-0001 course_code=C-1
        updated_since=2026-01-01T00:00:00Z updated_since=2026-09-15T08:00:00%2B00:00&status=all ordering=-id
        ordering=updated_at ordering=-updated_at&page_size=5 fields=id expand=student expand=course
        expand=student,course&fields=id,student page_size=7 status=all&page_size=10&ordering=-id
        term=2026F&level=introductory&ordering=-updated_at status=completed status=withdrawn,dropped
        updated_since=2026-01-01T00:00:00Z&page_size=4
    """,
    "enrollments/1/events": """
        page_size=1 fields=id ordering=-id
    """,
    "students/1/holds": """
        status=all status=open page_size=1 ordering=-id fields=id
    """,
    "changes": """
        limit=3 after=latest limit=500 limit=1 wait=0&limit=2
    """,
    "imports": """
        state=applied kind=enrollments ordering=created_at dataset=none
    """,
}
WRONG = """
    nonsense=1 page_size=0 page_size=501 page_size= cursor=x cursor= ordering=nothing status=gone status=
    fields=nothing fields= expand=nothing updated_since=yesterday updated_since=2026-01-01T00:00:00
    updated_since=2026-01-01T00:00:00+02:00 page_size=2&page_size=3 term= student=x course=x level=none
    is_active=yes capacity=-1 capacity=1.5 running_on=2026-13-01 term=%00 student=number:%00 search=%00
    nonsense=1&level=none&page_size=0 term=a&term=b course=99999999999999999999 bom=true bom=x format=json
    search=%25 search=a,b search=%22a%22
"""
SINGLES = """
    students/1 students/number:S-0001 students/number:s-0001 students/99999 students/x students/1?fields=id
    students/1?expand=x students/1?page_size=2 courses/1 courses/code:C-1@2026F courses/code:TWICE courses/code:none
    courses/99999 courses/3 courses/1?fields=code,seats terms/1 terms/code:2026F terms/99999 terms/code:2026f
    enrollments/1 enrollments/99999 enrollments/1?fields=id,status enrollments/1?expand=student,course
    enrollments/1?status=all enrollments/0 students/1/courses/1 students/1/courses/code:C-1@2026F
    students/number:S-0001/courses/1 students/1/courses/99 students/99/courses/1 students/2/courses/7
    students/1/courses/1?expand=course students/1/courses/1?nonsense=1 imports/1 students/number:S-0001/courses
    courses/code:C-1@2026F/students students/999/courses courses/999/students students/999/courses?status=all
    courses/code:TWICE/students students/x/courses students/13/courses courses/8/students
    students/9223372036854775808/courses enrollments/999/events nothing students/1/ changes?after=x changes?limit=0
    changes?more=1 changes?wait=x changes?after=9%3Ax
"""


def make_data() -> None:
    """Make a small school in which every query of every list returns rows."""
    from courses.api_client_creation import create_api_client
    from courses.models import Course, Level
    from students.enrollment import complete, drop, enroll, enroll_many
    from students.enrollment.actor_context import ActorContext
    from students.enrollment.commands import OnFull
    from students.models import Channel, Student
    from tests.support.factories import make_course, make_student, make_term

    actor = ActorContext(Channel.SYSTEM)
    fall = make_term(
        code="2026F", name="Fall", starts_on="2026-09-01", ends_on="2027-01-31", drop_deadline="2026-10-15"
    )
    spring = make_term(code="2027S", name="Spring", starts_on="2027-02-01", ends_on="2027-06-30")
    courses = [
        make_course(
            code=f"C-{number}",
            name=f"Kurs {number % 3} ß",
            term=fall if number % 2 else spring,
            capacity=capacity,
            waitlist_capacity=3,
            level=list(Level)[number % 4],
        )
        for number, capacity in enumerate([5, None, 3, 10, 1, None], 1)
    ]
    Course.objects.filter(code="C-2").update(term=fall)
    asking = make_course(code="ASKS", name='With "prerequisites" \\', term=fall, prerequisites=["C-1", "C-4"])
    make_course(code="EMPTY", is_active=False)
    make_course(code="TWICE", term=fall), make_course(code="TWICE", term=spring)
    names = [("Ada", "Byron"), ("Zoë", "Li"), ('O"N', "\\back</script>\u2028"), ("", "Mono"), ("Ada", "Zuse")]
    students = [
        make_student(
            student_number=f"S-{n:04}",
            given_name=names[n % 5][0],
            family_name=f"{names[n % 5][1]}",
            email=f"s{n}@example.org" if n % 3 else "",
            is_active=n != 11,
        )
        for n in range(1, 14)
    ]
    active = [each for each in students if each.is_active]
    enroll_many([(each.pk, courses[0].pk) for each in active[:8]], actor=actor, on_full=OnFull.WAITLIST)
    enroll_many([(each.pk, courses[1].pk) for each in active[:6]], actor=actor)
    for course in courses[2:]:
        enroll_many([(each.pk, course.pk) for each in active[:3]], actor=actor, on_full=OnFull.WAITLIST)
    complete(student_id=1, course_id=courses[1].pk, grade="A", actor=actor)
    complete(student_id=2, course_id=courses[1].pk, actor=actor, reason="Done")
    drop(student_id=3, course_id=courses[1].pk, actor=actor)
    enroll(student_id=3, course_id=courses[1].pk, actor=actor)
    drop(student_id=4, course_id=courses[0].pk, actor=actor, reason="Moved")
    Course.objects.filter(pk=courses[3].pk).update(capacity=1)
    enroll(
        student_id=5,
        course_id=asking.pk,
        waived_codes=["prerequisite_missing"],
        reason="Knows it",
        actor=ActorContext(Channel.API, may_waive=True),
    )
    assert Student.objects.count() == 13
    create_api_client("full", _scopes())
    create_api_client("limited", _scopes(), terms=["2027S"], courses=["C-1@2026F"])
    create_api_client("nothing", _scopes(), courses=["EMPTY"])
    create_api_client("courses only", "courses:read enrollments:read")


def _scopes() -> str:
    from django.conf import settings

    return " ".join(settings.SCOPES)


def callers() -> dict[str, Any]:
    """Return a test client for each kind of caller."""
    from django.contrib.auth.models import Group, Permission, User
    from django.test import Client

    from courses.models import Course, CourseStaff
    from school.models import ApiClient
    from tests.security.test_access import bearer

    found: dict[str, Any] = {
        client.name: bearer(client, client.scope.split()) for client in ApiClient.objects.order_by("pk")
    }
    for name, own in (("staff", False), ("own courses", True), ("no rights", False)):
        user = User.objects.create_user(name.replace(" ", "-"), is_staff=True)
        if name != "no rights":
            user.groups.add(Group.objects.get(name="Registrar"))
        if own:
            user.user_permissions.add(Permission.objects.get(codename="own_courses_only"))
            CourseStaff.objects.create(course=Course.objects.get(code="C-1"), user=user)
        found[name] = Client()
        found[name].force_login(User.objects.get(pk=user.pk), "school.accounts.backends.StaffBackend")
    session = found["staff"].session
    for name in ("staff", "own courses", "no rights"):
        session = found[name].session
        session["began"] = 1_789_000_000 + 464_000
        session.save()
    found["anonymous"] = Client()
    found["bad token"] = Client(HTTP_AUTHORIZATION="Bearer nonsense")
    return found


def requests() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield caller, method, address and options of each request. The order is significant."""
    for address, listed in LISTS.items():
        forms = listed.split()
        for form in ["", *forms]:
            yield "full", "GET", f"{address}?{form}" if form else address, {}
        for caller in ("limited", "staff", "own courses"):
            for form in ["", *forms[:: 2 if caller == "limited" else 5]]:
                yield caller, "GET", f"{address}?{form}" if form else address, {}
        for caller in ("nothing", "courses only", "no rights", "anonymous", "bad token"):
            yield caller, "GET", address, {}
    for wrong in [*WRONG.split(), "search=" + "x" * 201]:
        for address in ("enrollments", "courses", "courses/1/students", "students/1/courses", "students", "terms"):
            yield "full", "GET", f"{address}?{wrong}", {}
    for address in SINGLES.split():
        for caller in ("full", "limited", "staff", "own courses", "courses only"):
            yield caller, "GET", address, {}
    for accept in ("text/csv", "text/html", "application/json;q=0.5", "application/*", "image/png"):
        for address in (
            "courses/1/students",
            "enrollments",
            "students/1",
            "changes",
            "courses/1/students?status=all&bom=true",
        ):
            yield "full", "GET", address, {"HTTP_ACCEPT": accept}
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "POST"):
        for address in (
            "enrollments",
            "changes",
            "students/1/courses",
            "courses/1/students",
            "students/1",
            "enrollments/1",
        ):
            if (method, address) not in {
                ("POST", "students/1/courses"),
                ("PUT", "students/1"),
                ("DELETE", "students/1"),
            }:
                yield "full", method, address, {"body": None}
    yield from writes()


def writes() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    enroll = "students/{}/courses"
    bodies: list[Any] = [
        {"course_id": 6},
        {"course_id": 6},
        {"course_code": "C-2", "term": "2026F"},
        {"course_code": "TWICE"},
        {"course_id": 1},
        {"course_id": 1, "on_full": "waitlist"},
        {"course_id": 5, "on_full": "waitlist"},
        {"course_id": 7},
        {"course_id": 8},
        {"course_id": 7, "waive": ["prerequisite_missing"]},
        {"course_id": 7, "waive": ["prerequisite_missing"], "reason": "So"},
        {"course_id": 99},
        {"course_id": "1"},
        {},
        [],
        {"course_id": 1, "more": 1},
        {"course_id": 2, "waive": ["course_full"]},
        {"course_code": "none"},
        {"course_code": "C-4", "term": "2027S", "on_full": "maybe"},
        {"course_id": None},
        "text",
        None,
    ]
    for caller in ("full", "limited", "staff", "own courses"):
        for body in bodies:
            yield caller, "POST", enroll.format(9 if caller == "full" else 10), {"body": body}
        for student in ("11", "99", "number:S-0012", "number:none", "x"):
            yield caller, "POST", enroll.format(student), {"body": {"course_id": 4}}
    yield "full", "POST", "students/12/courses?nonsense=1", {"body": {"course_id": 6}}
    yield "full", "POST", "students/12/courses", {"body": {"course_id": 6}, "HTTP_ACCEPT": "text/csv"}
    yield "full", "POST", "students/12/courses", {"body": {"course_id": 6}, "HTTP_IDEMPOTENCY_KEY": "one"}
    for body in (
        {"status": "completed", "grade": "B"},
        {"status": "completed", "grade": "B"},
        {"grade": "C"},
        {"nonsense": 1},
        {},
    ):
        yield "full", "PATCH", "students/9/courses/6", {"body": body}
    for address in ("students/9/courses/2", "students/9/courses/2", "students/9/courses/99", "students/13/courses/1"):
        yield "full", "DELETE", address, {"body": None}
    yield "full", "DELETE", "students/10/courses/2", {"body": None, "HTTP_IF_MATCH": '"x"'}
    yield "full", "PATCH", "students/1", {"body": {"given_name": "Augusta"}}
    yield "full", "PATCH", "courses/1", {"body": {"capacity": 9}}
    yield "limited", "PATCH", "courses/1", {"body": {"capacity": 8}}
    yield "full", "POST", "students", {"body": {"student_number": "S-9000", "family_name": "New"}}
    yield (
        "full",
        "POST",
        "terms",
        {"body": {"code": "2028F", "name": "x", "starts_on": "2028-01-01", "ends_on": "2028-02-01"}},
    )
    yield "full", "POST", "courses", {"body": {"code": "NEW", "name": "x", "level": "graduate", "term": "2028F"}}
    items = [
        {"action": "enroll", "student_id": 12, "course_id": 1},
        {"action": "drop", "student_id": 12, "course_id": 1},
        {"action": "enroll", "student_id": 12, "course_id": 99},
        {"action": "nothing"},
    ]
    for atomic in (False, True):
        yield "full", "POST", "enrollments/batch", {"body": {"items": items, "atomic": atomic}}
    for address in (
        "changes?limit=100",
        "enrollments?status=all&page_size=500",
        "courses",
        "students/9/courses?status=all",
    ):
        for caller in ("full", "limited", "staff"):
            yield caller, "GET", address, {}


def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    clients = callers()
    counts: Counter[str] = Counter()
    for caller, method, address, options in requests():
        options = dict(options)
        if "body" in options:
            options |= {"data": json.dumps(options.pop("body")), "content_type": "application/json"}
            options = {name: value for name, value in options.items() if (name, value) != ("data", "null")}
        ask = getattr(clients[caller], method.lower())
        answer = ask(f"/api/v1/{address}", **options)
        shown = _shown(answer)
        name = f"{caller} {method} {address} {json.dumps(options)}"
        counts[name] += 1
        name += f" #{counts[name]}" if counts[name] > 1 else ""
        yield name, shown
        if method != "GET" or answer.status_code != 200:
            continue
        if tag := answer.headers.get("ETag"):
            again = ask(f"/api/v1/{address}", **options, HTTP_IF_NONE_MATCH=f'"x", {tag}')
            yield f"{name}: known", _shown(again)
            yield f"{name}: unknown", {"status": ask(f"/api/v1/{address}", HTTP_IF_NONE_MATCH='"x"').status_code}
        yield from _pages(name, ask, shown, options)


def _pages(name: str, ask: Any, shown: dict[str, Any], options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the next pages after a page, and the previous pages."""
    for direction in ("next", "previous"):
        step = 0
        while (link := shown["links"].get(direction)) and step < 6:
            step += 1
            shown = _shown(ask(link.removeprefix("http://testserver"), **options))
            yield f"{name}: {direction} {step}", shown


def _shown(answer: Any) -> dict[str, Any]:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    text = re.sub(r'("request_id": ?")[0-9a-f-]{36}', r"\1…", content.decode())
    text = re.sub(
        r'("cursor": ?"[0-9]+:)[^"]*', r"\1…", text
    )  # the cursor of the change feed contains a digest of a request id
    plain = re.sub(r"([?&]cursor=)[^&\"]*", r"\1…", text)
    headers = {name: value for name, value in answer.headers.items() if name not in MASKED}
    if tag := headers.get("ETag"):
        headers["ETag"] = re.sub('".*"', "…", tag)
    if "RateLimit" in headers:
        headers["RateLimit"] = "…"  # PostgreSQL uses its own clock for the counts
    return {"status": answer.status_code, "headers": headers, "body": _parsed(plain), "links": _links(_parsed(text))}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _links(body: Any) -> dict[str, str]:
    """Return the links of a page; they are followed and not compared."""
    return (
        {direction: body[direction] for direction in ("next", "previous") if body.get(direction)}
        if isinstance(body, dict)
        else {}
    )


def collect() -> dict[str, Any]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "school.settings"
    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test.utils import setup_test_environment

    setup_test_environment()
    settings.ALLOWED_HOSTS = ["*"]
    if connection.vendor == "sqlite":
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = ":memory:"
    name = str(connection.settings_dict["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        with time_machine.travel(DATA_MADE, tick=False):
            make_data()
        with time_machine.travel(ASKED, tick=False):
            return dict(answers())
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def main(command: str, path: str) -> int:
    found = json.loads(json.dumps(collect()))
    file = Path(path)
    if command == "record":
        file.write_text(json.dumps(found, ensure_ascii=False, indent=1))
        print(f"{len(found)} answers recorded")
        return 0
    before = json.loads(file.read_text())
    for each in (*before.values(), *found.values()):
        each.pop("links", None)
    different = [name for name in {**before, **found} if before.get(name) != found.get(name)]
    for name in different[:DIFFERENCES_SHOWN]:
        print(f"\n{name}")
        for part in ("status", "headers", "body"):
            was, now = before.get(name, {}).get(part), found.get(name, {}).get(part)
            if was != now:
                print(f"  {part} before: {json.dumps(was, ensure_ascii=False)[:1500]}")
                print(f"  {part} now:    {json.dumps(now, ensure_ascii=False)[:1500]}")
    print(f"\n{len(found)} answers, {len(different)} different")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
