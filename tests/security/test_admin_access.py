"""
Access control of the admin: every role on every URL, with own objects and with foreign ones.

One sign per role stands for the response: + a page, > a redirect to another page, - a redirect to the start page as for
an absent object, L a redirect to the login, . 403, ? 404, x 405. A POST has the fields that delete and confirm.
"""

import re
from datetime import date
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver, get_resolver
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from bulk.jobs.submission import ImportRequest, submit
from bulk.models import ImportChannel
from courses.api_client_creation import create_api_client
from courses.models import CourseStaff, Term
from school.access.access_log import Action, Subject, record
from school.access.access_log import Door as AccessDoor
from school.models import ApiClient, PersonalDataAccess
from students.enrollment import enroll
from students.models import RefusedAct, StudentCourse
from tests.support.factories import make_course, make_grade, make_hold, make_student, make_term
from webhooks.models import Attempt, Endpoint

pytestmark = pytest.mark.django_db

ROLES = (
    "administrator",
    "registrar",
    "viewer",
    "teacher, own",
    "teacher, foreign",
    "auditor",
    "no group",
    "no staff",
    "nobody",
)

# fmt: off
TABLE = [
    # route                                              GET          POST
    ("",                                                 "+++++++LL", "+++++++LL"),
    ("<nowhere>",                                        "???????LL", "???????LL"),
    ("<app>/",                                           "++++++?LL", "++++++?LL"),
    ("access/",                                          "+....+.LL", "+....+.LL"),
    ("auth/group/",                                      "+......LL", "+......LL"),
    ("auth/group/<id>/",                                 ">>>>>>>LL", ">>>>>>>LL"),
    ("auth/group/<id>/change/",                          "+......LL", "+......LL"),
    ("auth/group/<id>/delete/",                          "+......LL", ">......LL"),
    ("auth/group/<id>/history/",                         "+..--..LL", "+..--..LL"),
    ("auth/group/add/",                                  "+......LL", "+......LL"),
    ("auth/user/",                                       "+......LL", "+......LL"),
    ("auth/user/<id>/",                                  ">>>>>>>LL", ">>>>>>>LL"),
    ("auth/user/<id>/change/",                           "+......LL", "+......LL"),
    ("auth/user/<id>/delete/",                           "+......LL", ">......LL"),
    ("auth/user/<id>/history/",                          "+..--..LL", "+..--..LL"),
    ("auth/user/<id>/password/",                         "+......LL", "+......LL"),
    ("auth/user/add/",                                   "+......LL", "+......LL"),
    ("autocomplete/",                                    ".......LL", "xxxxxxxLL"),
    ("axes/accessattempt/",                              "+......LL", "+......LL"),
    ("axes/accessattempt/<id>/",                         ">>>>>>>LL", ">>>>>>>LL"),
    ("axes/accessattempt/<id>/change/",                  "+......LL", ".......LL"),
    ("axes/accessattempt/<id>/delete/",                  "+......LL", "-......LL"),
    ("axes/accessattempt/<id>/history/",                 "+..--..LL", "+..--..LL"),
    ("axes/accessattempt/add/",                          ".......LL", ".......LL"),
    ("bulk/import/",                                     "+++....LL", "+++....LL"),
    ("bulk/import/<id>/",                                ">>>>>>>LL", ">>>>>>>LL"),
    ("bulk/import/<id>/approve/",                        "xxxxxxxLL", ">>.??..LL"),
    ("bulk/import/<id>/cancel/",                         "xxxxxxxLL", ">>.??..LL"),
    ("bulk/import/<id>/change/",                         "+++??..LL", "+++??..LL"),
    ("bulk/import/<id>/delete/",                         ".......LL", ".......LL"),
    ("bulk/import/<id>/failed-rows/",                    "+++??..LL", "+++??..LL"),
    ("bulk/import/<id>/history/",                        "+++--..LL", "+++--..LL"),
    ("bulk/import/<id>/live/",                           "+++??..LL", "+++??..LL"),
    ("bulk/import/<id>/report/",                         "+++??..LL", "+++??..LL"),
    ("bulk/import/<id>/undo/",                           "xxxxxxxLL", ">>.??..LL"),
    ("bulk/import/add/",                                 "++.....LL", "++.....LL"),
    ("bulk/import/template-<slug:kind>.csv",             "++.....LL", "++.....LL"),
    ("courses/course/",                                  "+++++..LL", "+++++..LL"),
    ("courses/course/<id>/",                             ">>>>>>>LL", ">>>>>>>LL"),
    ("courses/course/<id>/addresses/",                   "xxxxxxxLL", "+++.?..LL"),
    ("courses/course/<id>/change/",                      "++++-..LL", "++.....LL"),
    ("courses/course/<id>/delete/",                      "++.....LL", "++.....LL"),
    ("courses/course/<id>/enroll/",                      ">>..?..LL", "++..?..LL"),
    ("courses/course/<id>/grades/",                      "++.+?..LL", "++.+?..LL"),
    ("courses/course/<id>/history/",                     "++++-..LL", "++++-..LL"),
    ("courses/course/<id>/history/<version>/",           "++++-..LL", "++..-..LL"),
    ("courses/course/<id>/roster.csv",                   "++++?..LL", "++++?..LL"),
    ("courses/course/<id>/roster/",                      "++++?..LL", "++++?..LL"),
    ("courses/course/<id>/cancel/",                      "++.....LL", "++.....LL"),
    ("courses/course/<id>/cancel-undo/",                 ".......LL", ".......LL"),
    ("courses/course/<id>/staff/",                       ">>.....LL", ">>.....LL"),
    ("courses/course/export/",                           "+++++..LL", "+++++..LL"),
    ("courses/course/add/",                              "++.....LL", "++.....LL"),
    ("courses/coursestaff/",                             "++.....LL", "++.....LL"),
    ("courses/coursestaff/<id>/",                        ">>>>>>>LL", ">>>>>>>LL"),
    ("courses/coursestaff/<id>/change/",                 "++.....LL", ".......LL"),
    ("courses/coursestaff/<id>/delete/",                 "++.....LL", "--.....LL"),
    ("courses/coursestaff/<id>/history/",                "++.--..LL", "++.--..LL"),
    ("courses/coursestaff/add/",                         "++.....LL", "++.....LL"),
    ("courses/grade/",                                   "+++....LL", "+++....LL"),
    ("courses/grade/<id>/",                              ">>>>>>>LL", ">>>>>>>LL"),
    ("courses/grade/<id>/change/",                       "+++....LL", "++.....LL"),
    ("courses/grade/<id>/delete/",                       "++.....LL", ">>.....LL"),
    ("courses/grade/<id>/history/",                      "+++....LL", "+++....LL"),
    ("courses/grade/<id>/history/<version>/",            "+++....LL", "++.....LL"),
    ("courses/grade/export/",                            "+++....LL", "+++....LL"),
    ("courses/grade/add/",                               "++.....LL", "++.....LL"),
    ("courses/term/",                                    "+++++..LL", "+++++..LL"),
    ("courses/term/<id>/",                               ">>>>>>>LL", ">>>>>>>LL"),
    ("courses/term/<id>/change/",                        "++++-..LL", "++.....LL"),
    ("courses/term/<id>/delete/",                        "++.....LL", "++.....LL"),
    ("courses/term/<id>/history/",                       "++++-..LL", "++++-..LL"),
    ("courses/term/<id>/history/<version>/",             "++++-..LL", "++..-..LL"),
    ("courses/term/<id>/copy-courses/",                  "++.....LL", "++.....LL"),
    ("courses/term/export/",                             "+++++..LL", "+++++..LL"),
    ("courses/term/add/",                                "++.....LL", "++.....LL"),
    ("jsi18n/",                                          "+++++++LL", "xxxxxxxLL"),
    ("login/",                                           "-------++", "+++++++++"),
    ("logout/",                                          "xxxxxxx--", "+++++++--"),
    ("manual/<path:name>",                               "+++++++LL", "+++++++LL"),
    ("oauth2_provider/accesstoken/",                     "+......LL", "+......LL"),
    ("oauth2_provider/accesstoken/<id>/",                ">>>>>>>LL", ">>>>>>>LL"),
    ("oauth2_provider/accesstoken/<id>/change/",         "+......LL", "+......LL"),
    ("oauth2_provider/accesstoken/<id>/delete/",         ".......LL", ".......LL"),
    ("oauth2_provider/accesstoken/<id>/history/",        "+..--..LL", "+..--..LL"),
    ("oauth2_provider/accesstoken/add/",                 ".......LL", ".......LL"),
    ("oauth2_provider/grant/",                           "+......LL", "+......LL"),
    ("oauth2_provider/grant/<id>/",                      ">>>>>>>LL", ">>>>>>>LL"),
    ("oauth2_provider/grant/<id>/change/",               "-......LL", "-......LL"),
    ("oauth2_provider/grant/<id>/delete/",               "-......LL", "-......LL"),
    ("oauth2_provider/grant/<id>/history/",              "-------LL", "-------LL"),
    ("oauth2_provider/grant/add/",                       ".......LL", ".......LL"),
    ("oauth2_provider/idtoken/",                         "+......LL", "+......LL"),
    ("oauth2_provider/idtoken/<id>/",                    ">>>>>>>LL", ">>>>>>>LL"),
    ("oauth2_provider/idtoken/<id>/change/",             "-......LL", "-......LL"),
    ("oauth2_provider/idtoken/<id>/delete/",             "-......LL", "-......LL"),
    ("oauth2_provider/idtoken/<id>/history/",            "-------LL", "-------LL"),
    ("oauth2_provider/idtoken/add/",                     ".......LL", ".......LL"),
    ("oauth2_provider/refreshtoken/",                    "+......LL", "+......LL"),
    ("oauth2_provider/refreshtoken/<id>/",               ">>>>>>>LL", ">>>>>>>LL"),
    ("oauth2_provider/refreshtoken/<id>/change/",        "-......LL", "-......LL"),
    ("oauth2_provider/refreshtoken/<id>/delete/",        ".......LL", ".......LL"),
    ("oauth2_provider/refreshtoken/<id>/history/",       "-------LL", "-------LL"),
    ("oauth2_provider/refreshtoken/add/",                ".......LL", ".......LL"),
    ("password_change/",                                 "+++++++LL", "+++++++LL"),
    ("password_change/done/",                            "+++++++LL", "xxxxxxxLL"),
    ("r/<path:content_type_id>/<id>/",                   "???????LL", "???????LL"),
    ("school/apiclient/",                                "+......LL", "+......LL"),
    ("school/apiclient/<id>/",                           ">>>>>>>LL", ">>>>>>>LL"),
    ("school/apiclient/<id>/admit/",                     "xxxxxxxLL", ">..??..LL"),
    ("school/apiclient/<id>/change/",                    "+......LL", "+......LL"),
    ("school/apiclient/<id>/delete/",                    "+......LL", ".......LL"),
    ("school/apiclient/<id>/history/",                   "+..--..LL", "+..--..LL"),
    ("school/apiclient/<id>/revoke/",                    "+..??..LL", ">..??..LL"),
    ("school/apiclient/add/",                            ".......LL", ".......LL"),
    ("school/personaldataaccess/",                       "+....+.LL", "+....+.LL"),
    ("school/personaldataaccess/<id>/",                  ">>>>>>>LL", ">>>>>>>LL"),
    ("school/personaldataaccess/<id>/change/",           "+....+.LL", ".......LL"),
    ("school/personaldataaccess/<id>/delete/",           ".......LL", ".......LL"),
    ("school/personaldataaccess/<id>/history/",          "+..--+.LL", "+..--+.LL"),
    ("school/personaldataaccess/add/",                   ".......LL", ".......LL"),
    ("search/",                                          "+++++++LL", "+++++++LL"),
    ("oneroster/",                                       "++.....LL", "++.....LL"),
    ("students/enrollmentevent/",                        "++++++.LL", "++++++.LL"),
    ("students/enrollmentevent/<id>/",                   ">>>>>>>LL", ">>>>>>>LL"),
    ("students/enrollmentevent/<id>/change/",            "++++-+.LL", ".......LL"),
    ("students/enrollmentevent/<id>/delete/",            ".......LL", ".......LL"),
    ("students/enrollmentevent/<id>/history/",           "++++-+.LL", "++++-+.LL"),
    ("students/enrollmentevent/add/",                    ".......LL", ".......LL"),
    ("students/hold/",                                   "+++....LL", "+++....LL"),
    ("students/hold/<id>/",                              ">>>>>>>LL", ">>>>>>>LL"),
    ("students/hold/<id>/change/",                       "+++....LL", ".......LL"),
    ("students/hold/<id>/delete/",                       ".......LL", ".......LL"),
    ("students/hold/<id>/history/",                      "+++.-..LL", "+++.-..LL"),
    ("students/hold/add/",                               "++.....LL", "++.....LL"),
    ("students/hold/export/",                            "+++....LL", "+++....LL"),
    ("students/refusedact/",                             "+++....LL", "+++....LL"),
    ("students/refusedact/<id>/",                        ">>>>>>>LL", ">>>>>>>LL"),
    ("students/refusedact/<id>/change/",                 "+++....LL", ".......LL"),
    ("students/refusedact/<id>/delete/",                 ".......LL", ".......LL"),
    ("students/refusedact/<id>/history/",                "+++.-..LL", "+++.-..LL"),
    ("students/refusedact/add/",                         ".......LL", ".......LL"),
    ("students/student/",                                "+++....LL", "+++....LL"),
    ("students/student/<id>/",                           ">>>>>>>LL", ">>>>>>>LL"),
    ("students/student/<id>/change/",                    "+++....LL", "++.....LL"),
    ("students/student/<id>/delete/",                    "++.....LL", "++.....LL"),
    ("students/student/<id>/enroll/",                    ">>..?..LL", "++..?..LL"),
    ("students/student/<id>/history/",                   "+++....LL", "+++....LL"),
    ("students/student/<id>/history/<version>/",         "+++....LL", "++.....LL"),
    ("students/student/<id>/personal-data/",             "++.....LL", "++.....LL"),
    ("students/student/<id>/personal-data/erase/",       "+...?..LL", "+...?..LL"),
    ("students/student/<id>/personal-data/export/",      "++..?..LL", "++..?..LL"),
    ("students/student/export/",                         "+++....LL", "+++....LL"),
    ("students/student/add/",                            "++.....LL", "++.....LL"),
    ("students/studentcourse/",                          "+++++..LL", "+++++..LL"),
    ("students/studentcourse/<id>/",                     ">>>>>>>LL", ">>>>>>>LL"),
    ("students/studentcourse/<id>/change/",              "++++-..LL", ".......LL"),
    ("students/studentcourse/<id>/delete/",              ".......LL", ".......LL"),
    ("students/studentcourse/<id>/history/",             "++++-..LL", "++++-..LL"),
    ("students/studentcourse/act/",                      ">>>>>..LL", ">>>>>..LL"),
    ("students/studentcourse/acts/<slug:request_id>/",   "?????..LL", "?????..LL"),
    ("students/studentcourse/enroll-many/",              "++.....LL", "++.....LL"),
    ("students/studentcourse/export/",                   "+++++..LL", "+++++..LL"),
    ("students/studentcourse/export-as-of/",             "+++++..LL", "+++++..LL"),
    ("students/studentcourse/add/",                      "++.....LL", "++.....LL"),
    ("webhooks/attempt/",                                "+......LL", "+......LL"),
    ("webhooks/attempt/<id>/",                           ">>>>>>>LL", ">>>>>>>LL"),
    ("webhooks/attempt/<id>/change/",                    "+......LL", ".......LL"),
    ("webhooks/attempt/<id>/delete/",                    ".......LL", ".......LL"),
    ("webhooks/attempt/<id>/history/",                   "+..--..LL", "+..--..LL"),
    ("webhooks/attempt/add/",                            ".......LL", ".......LL"),
    ("webhooks/endpoint/",                               "+......LL", "+......LL"),
    ("webhooks/endpoint/<id>/",                          ">>>>>>>LL", ">>>>>>>LL"),
    ("webhooks/endpoint/<id>/change/",                   "+......LL", "+......LL"),
    ("webhooks/endpoint/<id>/delete/",                   "+......LL", ">......LL"),
    ("webhooks/endpoint/<id>/history/",                  "+..--..LL", "+..--..LL"),
    ("webhooks/endpoint/<id>/pause/",                    "xxxxxxxLL", ">..??..LL"),
    ("webhooks/endpoint/<id>/ping/",                     "xxxxxxxLL", ">..??..LL"),
    ("webhooks/endpoint/<id>/replay/",                   "+..??..LL", ">..??..LL"),
    ("webhooks/endpoint/<id>/resume/",                   "xxxxxxxLL", ">..??..LL"),
    ("webhooks/endpoint/<id>/rotate/",                   "xxxxxxxLL", "+..??..LL"),
    ("webhooks/endpoint/add/",                           "+......LL", "+......LL"),
]
# fmt: on

PARTS = re.compile(r"<path:object_id>|<id:pk>|<id>|\^\(\[\^/\]\+\)")
VERSION = "([^/]+)/$"
# Texts hidden from users limited to own courses: other courses and their students. Terms are visible.
FOREIGN = re.compile("FOREIGN-[CS]|FOREIGN Ada|FOREIGN course")


def routes(patterns=None, prefix=""):
    """Yield each route below ``/admin/``."""
    if patterns is None:
        [site] = [each for each in get_resolver().url_patterns if str(each.pattern) == "admin/"]
        assert isinstance(site, URLResolver)
        patterns = site.url_patterns
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            named = PARTS.sub("<id>", route).replace(VERSION, "<version>/").replace("(?P<url>.*)$", "<nowhere>")
            yield re.sub(r"\^\(\?P<app_label>.*", "<app>/", named)


def test_the_table_has_every_route_and_no_other():
    assert sorted(route for route, _get, _post in TABLE) == sorted(set(routes()))


class World:
    """A course of a term with a student in it, an import, and the users of each role."""

    def __init__(self, name, sender, actor):
        self.name = name
        term = make_term(code=f"{name}-T")
        grade = make_grade(code=f"{name}-G")
        course = make_course(code=f"{name}-C", name=f"{name} course", term=term)
        student = make_student(student_number=f"{name}-S", given_name=f"{name} Ada", email="")
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        enrollment = StudentCourse.objects.get(student=student)
        order = ImportRequest("enrollments", ImportChannel.API, "", file_name=f"{name}.csv", dataset=name, actor=sender)
        job = submit(BytesIO(f"student_number,course_code,term\n{name}-S,{name}-C,{name}-T\n".encode()), order)
        teacher = User.objects.create_user(f"{name} teacher", is_staff=True)
        teacher.groups.add(Group.objects.get(name="Course staff"))
        client = ApiClient.objects.get(client_id=create_api_client(f"{name} program", "students:read").client_id)
        token = get_access_token_model().objects.create(application=client, expires=timezone.now(), token=name)
        record(Action.EXPORTED, Subject.STUDENT, AccessDoor.COMMAND, student_id=student.pk)
        attempt = AccessAttempt.objects.create(username=name, failures_since_start=5)
        refused = RefusedAct.objects.create(day="2026-01-01", student=student, course=course, codes="course_full")
        endpoint = Endpoint.objects.create(url=f"https://{name.lower()}.example/", kinds=["enrollments"], secret="")
        sent = Attempt.objects.create(
            endpoint=endpoint, message_id=name, type="ping", at=timezone.now(), milliseconds=1
        )
        self.teacher = teacher
        self.ids = {
            "courses/term": term.pk,
            "courses/grade": grade.pk,
            "courses/course": course.pk,
            "courses/coursestaff": CourseStaff.objects.create(course=course, user=teacher).pk,
            "students/student": student.pk,
            "students/studentcourse": enrollment.pk,
            "students/enrollmentevent": enrollment.events.get().pk,
            "students/hold": make_hold(student, f"{name}-H", ends_on=date(2020, 1, 1)).pk,
            "students/refusedact": refused.pk,
            "bulk/import": job.pk,
            "school/apiclient": client.pk,
            "school/personaldataaccess": PersonalDataAccess.objects.latest("pk").pk,
            "oauth2_provider/accesstoken": token.pk,
            "axes/accessattempt": attempt.pk,
            "webhooks/endpoint": endpoint.pk,
            "webhooks/attempt": sent.pk,
            "auth/user": teacher.pk,
            "auth/group": Group.objects.get(name="Viewer").pk,
        }
        self.versions = {
            "courses/term": term.history.latest().pk,
            "courses/grade": grade.history.latest().pk,
            "courses/course": course.history.latest().pk,
            "students/student": student.history.latest().pk,
        }

    def address(self, route):
        kind = "/".join(route.split("/")[:2])
        filled = route.replace("<id>", str(self.ids.get(kind, 1))).replace("<version>", str(self.versions.get(kind)))
        filled = filled.replace("r/<path:content_type_id>/1/", "r/1/1/").replace("<path:content_type_id>", "1")
        filled = filled.replace("<app>", "students").replace("<nowhere>", "nowhere/")
        filled = filled.replace("<slug:request_id>", "unknown").replace("<slug:kind>", "students")
        filled = filled.replace("<path:name>", "registrar.md")
        return f"/admin/{filled}"


@pytest.fixture
def worlds(actor, registrar):
    return World("OWN", registrar, actor), World("FOREIGN", registrar, actor)


@pytest.fixture
def callers(worlds, registrar, viewer):
    own, _foreign = worlds
    auditor = User.objects.create_user("auditor", is_staff=True)
    auditor.groups.add(Group.objects.get(name="Auditor"))
    people = {
        "administrator": User.objects.create_superuser("root"),
        "registrar": registrar,
        "viewer": viewer,
        "teacher, own": own.teacher,
        "teacher, foreign": own.teacher,
        "auditor": auditor,
        "no group": User.objects.create_user("newcomer", is_staff=True),
        "no staff": User.objects.create_user("student"),
        "nobody": None,
    }
    callers = {}
    for role, user in people.items():
        callers[role] = Client(raise_request_exception=False)
        if user:
            callers[role].force_login(user)
    return callers


def sign_of(answer):
    if answer.status_code == 302:
        path = urlsplit(answer["Location"]).path
        return {"/admin/login/": "L", "/admin/": "-"}.get(path, ">")
    return {200: "+", 403: ".", 404: "?", 405: "x"}.get(answer.status_code, str(answer.status_code))


def ask(client, world, route, method):
    """Send a request and roll back its changes, so that each role finds the same data."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        answer = getattr(client, method.lower())(world.address(route), {"post": "yes"} if method == "POST" else {})
        text = b"".join(answer) if answer.streaming else answer.content
        transaction.set_rollback(True)
    client.cookies = cookies
    return sign_of(answer), text.decode()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_role_gets_the_response_of_the_table(worlds, callers, method):
    own, foreign = worlds
    expected = {route: get if method == "GET" else post for route, get, post in TABLE}
    found, told = {}, []

    for route in sorted(set(routes())):
        signs = ""
        for role in ROLES:
            sign, text = ask(callers[role], foreign if role == "teacher, foreign" else own, route, method)
            signs += sign
            if role.startswith("teacher") and FOREIGN.search(text):
                told.append((role, route))
        found[route] = signs

    assert told == []
    assert found == expected


@pytest.mark.parametrize("role", ["viewer", "teacher, own"])
def test_a_user_without_change_permission_cannot_restore_an_earlier_version(worlds, callers, role):
    own, _foreign = worlds
    pk, version = own.ids["courses/term"], own.versions["courses/term"]
    form = {"code": "OWN-T", "name": "Forged", "starts_on": "2026-01-01", "ends_on": "2026-12-31"}

    answer = callers[role].post(f"/admin/courses/term/{pk}/history/{version}/", form)

    assert (answer.status_code, Term.objects.filter(name="Forged").count()) == (403, 0)


# Actions on the rows of a list


def world_of(role, worlds):
    return worlds[1] if role == "teacher, foreign" else worlds[0]


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("drop", ["administrator", "registrar"]),
        ("complete", ["administrator", "registrar", "teacher, own"]),
        ("undo", ["administrator", "registrar"]),
    ],
)
def test_only_authorized_roles_can_execute_an_action_on_enrollments(worlds, callers, action, allowed):
    done = []
    for role, client in callers.items():
        pk = world_of(role, worlds).ids["students/studentcourse"]
        with transaction.atomic():
            page = client.post("/admin/students/studentcourse/act/", {"action": action, "chosen": [pk]})
            shown = page.context["fingerprint"] if page.status_code == 200 else "x"
            form = {"action": action, "chosen": [pk], "step": "confirm", "shown": shown}
            client.post("/admin/students/studentcourse/act/", form)
            done += [] if StudentCourse.objects.get(pk=pk).is_open else [role]
            transaction.set_rollback(True)

    assert done == allowed


def test_a_teacher_finds_nothing_of_other_courses_in_lists_and_searches(worlds, callers):
    teacher = callers["teacher, own"]
    pages = ["courses/course/", "students/studentcourse/", "students/enrollmentevent/", "courses/term/"]
    found = {page: [row.pk for row in teacher.get(f"/admin/{page}").context["cl"].result_list] for page in pages}
    words = ("OWN-C", "FOREIGN-C", "FOREIGN-S")
    told = [teacher.get("/admin/search/", {"s": word}).content.decode() for word in words]

    assert found == {page: [worlds[0].ids[page.rstrip("/")]] for page in pages}
    assert ['href="/admin/' in text for text in told] == [True, False, False]  # a search repeats its words


def test_a_teacher_session_is_limited_in_the_api_too(worlds, callers):
    teacher = callers["teacher, own"]
    own, foreign = ({kind.split("/")[1]: pk for kind, pk in world.ids.items()} for world in worlds)

    def status(path):
        return teacher.get(f"/api/v1/{path}").status_code

    listed = [each["id"] for each in teacher.get("/api/v1/enrollments").json()["results"]]
    assert listed == [own["studentcourse"]]
    assert [status(f"courses/{each['course']}/students") for each in (own, foreign)] == [200, 404]
    assert [status(f"enrollments/{each['studentcourse']}/events") for each in (own, foreign)] == [200, 404]
    assert (status("students"), status(f"students/{own['student']}")) == (403, 403)


def test_a_user_in_a_second_group_is_still_limited_to_own_courses(worlds, callers):
    own, _foreign = worlds
    own.teacher.groups.add(Group.objects.get(name="Registrar"))
    client = callers["teacher, own"]

    seen = [client.get(f"/admin/students/student/{each.ids['students/student']}/change/") for each in worlds]

    assert [sign_of(answer) for answer in seen] == ["+", "-"]
    assert "FOREIGN-C" not in seen[0].content.decode()


def test_the_student_page_shows_a_teacher_only_enrollments_in_own_courses(worlds, callers, actor):
    own, foreign = worlds
    own.teacher.groups.add(Group.objects.get(name="Viewer"))
    student = own.ids["students/student"]
    enroll(student_id=student, course_id=foreign.ids["courses/course"], actor=actor)
    client = callers["teacher, own"]

    page = client.get(f"/admin/students/student/{student}/change/").content.decode()

    assert ("OWN-C" in page, FOREIGN.search(page)) == (True, None)


# Assigning course staff


def test_a_registrar_assigns_the_staff_of_a_course(worlds, callers):
    own, foreign = worlds
    desk, course = callers["registrar"], foreign.ids["courses/course"]
    page = desk.get(f"/admin/courses/course/{course}/staff/", follow=True)
    form = desk.get("/admin/courses/coursestaff/add/", {"course": course}).context["adminform"].form

    desk.post("/admin/courses/coursestaff/add/", {"course": course, "user": own.teacher.pk})
    again = desk.post("/admin/courses/coursestaff/add/", {"course": course, "user": own.teacher.pk})

    assert [row.user for row in page.context["cl"].result_list] == [foreign.teacher]
    assert list(form.fields["user"].queryset) == [foreign.teacher, own.teacher]
    assert again.context["errors"] == [["This user is staff of this course already."]]
    assert ask(callers["teacher, own"], foreign, "courses/course/<id>/change/", "GET")[0] == "+"


def test_an_administrator_sees_the_courses_of_a_user_on_the_user_page(worlds, callers):
    own, _foreign = worlds

    page = callers["administrator"].get(f"/admin/auth/user/{own.teacher.pk}/change/").content.decode()

    assert "OWN-C" in page


def test_the_query_count_does_not_depend_on_the_number_of_own_courses(worlds, callers):
    own, _foreign = worlds
    callers["teacher, own"].get("/admin/")  # which stores the time of the last activity in the session
    costs = []
    for number in (0, 30):
        for _course in range(number):
            CourseStaff.objects.create(course=make_course(), user=own.teacher)
        with CaptureQueriesContext(connection) as queries:
            callers["teacher, own"].get("/admin/courses/course/")
        costs.append(len(queries))

    assert costs[0] == costs[1] < 25
