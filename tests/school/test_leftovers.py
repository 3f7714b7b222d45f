"""Pages in German and Spanish contain no English text: a text on both a translated and the English page is an error."""

import re
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User

from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported

# Proper names, names of file columns and pictures, and words that are identical in the other language.
SAME = {
    *("School", "Ctrl + K", "esc", "English", "Deutsch", "español", "en", "de", "es", "registrar", "Registrar"),
    *("student_number", "course_code", "term", "status", "grade", "reason", "default", "Calculus I", "A term"),
    *("student_not_found", "course_not_found", "API", "CSV", "ID", "JSON", "null", '"enrolled_on"', '"ended_on"'),
    *("Webhook", "Webhooks", "1 webhooks", "URL"),
    *("School 1.1.1", "A term (1F)"),
    *("Auditor", "Course staff", "Viewer"),  # names of groups, which are stored in the database
}
SAME_IN = {
    "de": {
        "Code",
        "Import",
        "Journal",
        "Name",
        "Status",
        "System",
        "Scopes",
        "Client",
        "Filter",
        "Format",
        "Import 1",
        "Import 1 | School",
        "Problem",
    },
    "es": {"No", "no", "error", "Error (1)", "Manual", "Roles", "token", "Personal"},
}
KEY = re.compile(r"(MATH-101|S-\d|Byron|Ada|program 1)\b.*")
SAID = {"title", "placeholder", "aria-label", "alt", "data-label"}


class Texts(HTMLParser):
    """The visible and spoken texts of a page: between its tags, and in attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()
        self.within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        is_picture = "material-symbols" in (dict(attrs).get("class") or "")
        self.within = "picture" if is_picture else tag
        self.texts |= {text for name, text in attrs if name in SAID and text}

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within not in ("script", "style", "picture"):
            self.texts.add(" ".join(data.split()))


def texts_of(page: str) -> set[str]:
    reader = Texts()
    reader.feed(page)
    return {text for text in reader.texts if re.search(r"[^\W\d_]{2}", text) and not KEY.fullmatch(text)}


def test_texts_are_found_between_tags_and_in_attributes():
    page = '<a title="Go there"><span class="material-symbols-outlined">home</span> Home</a> <script>let x;</script>'

    assert texts_of(page) == {"Go there", "Home"}


@pytest.fixture
def pages(db):
    course = make_course(
        code="MATH-101", name="Calculus I", term=make_term(code="2026F"), capacity=2, waitlist_capacity=5
    )
    actor = ActorContext(Channel.SYSTEM)
    for number in range(4):
        student = make_student(student_number=f"S-{number}", given_name="Ada", family_name="Byron", email="")
        enroll(student_id=student.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    job = imported(ENROLLMENTS + "S-9,M-9,,,,\n")
    lists = ("students/studentcourse", "students/student", "courses/course", "courses/term", "courses/grade")
    forms = (*lists, "webhooks/endpoint")
    return [
        "/admin/",
        "/admin/search/?s=ada",
        *(f"/admin/{each}/{rest}" for each in forms for rest in ("", "add/")),
        *("/admin/bulk/import/", "/admin/bulk/import/add/", f"/admin/bulk/import/{job.pk}/change/"),
        "/admin/students/studentcourse/enroll-many/",
        "/admin/webhooks/attempt/",
        "/admin/students/enrollmentevent/",
        f"/admin/students/enrollmentevent/{EnrollmentEvent.objects.latest('pk').pk}/change/",
        f"/admin/students/studentcourse/{StudentCourse.objects.latest('pk').pk}/change/",
        *(f"/admin/courses/course/{course.pk}/change/?tab={tab}" for tab in ("roster", "waitlist", "timeline")),
        f"/admin/courses/course/{course.pk}/change/?tab=form",
        f"/admin/courses/course/{course.pk}/roster/",
        *(f"/admin/students/student/{student.pk}/change/?tab={tab}" for tab in ("courses", "timeline", "form")),
        f"/admin/students/student/{student.pk}/personal-data/",
        *("/admin/courses/coursestaff/", "/admin/courses/coursestaff/add/"),
    ]


@pytest.mark.parametrize("language", ["de", "es"])
def test_translated_pages_contain_no_english_text(registrar_client, pages, language):
    User.objects.filter(username="registrar").update(is_superuser=True)
    left = set()
    for path in [*pages, "/admin/access/", "/admin/auth/user/", "/admin/auth/user/add/", "/admin/password_change/"]:
        english = registrar_client.get(path)
        other = registrar_client.get(path, headers={"Accept-Language": language})
        assert (path, english.status_code, other.headers["Content-Language"]) == (path, 200, language)
        left |= {(path, text) for text in texts_of(english.text) & texts_of(other.text)}

    same = SAME | SAME_IN[language]
    assert sorted((path, text) for path, text in left if re.sub(r"\d+", "1", text) not in same) == []
