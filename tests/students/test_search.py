"""The command palette finds students, courses and enrollments by their words, within the user's permissions."""

from dataclasses import replace

import pytest
from django.contrib.auth.models import Permission, User

from students.enrollment import drop, enroll
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

ADA, MARY = "S-1042 Ada Byron", "S-1043 Mary Byron"
MATH, OLD, ART = "MATH-101@2026F Calculus I", "MATH-101@2025F Calculus I", "ART-1 Drawing"


@pytest.fixture
def crowd(actor):
    ada, mary = (
        make_student(student_number=number, given_name=name, family_name="Byron", email="")
        for number, name in (("S-1042", "Ada"), ("S-1043", "Mary"))
    )
    now, before = make_term(code="2026F"), make_term(code="2025F", starts_on="2025-09-01", ends_on="2026-01-31")
    math = make_course(code="MATH-101", name="Calculus I", term=now)
    old = make_course(code="MATH-101", name="Calculus I", term=before)
    art = make_course(code="ART-1", name="Drawing")
    actor = replace(actor, may_waive=True)
    for student, course in [(ada, math), (ada, old), (mary, math), (mary, art)]:
        enroll(
            student_id=student.pk, course_id=course.pk, actor=actor, waived_codes=["term_ended"], reason="from paper"
        )
    drop(student_id=ada.pk, course_id=old.pk, actor=actor)


def found(desk, words):
    answer = desk.get("/admin/search/", {"s": words, "extended": "1"})
    return [result.title for result in answer.context["results"]] if answer.context else []


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        ("S-1042", [ADA, f"{ADA} · {MATH}"]),
        ("s-104", [ADA, MARY]),
        ("byron", [ADA, MARY]),
        ("ada byr", [ADA, f"{ADA} · {MATH}"]),
        ("math-101", [MATH, OLD]),
        ("drawing", [ART]),
        ("byron math", [f"{MARY} · {MATH}", f"{ADA} · {OLD}", f"{ADA} · {MATH}"]),
        ("math-101 ada", [f"{ADA} · {OLD}", f"{ADA} · {MATH}"]),
        ("nobody", []),
        ("   ", []),
        ("x " * 500, []),
    ],
)
def test_search_words_find_matching_rows(registrar_client, crowd, words, titles):
    assert found(registrar_client, words) == titles


def test_family_names_that_are_a_word_or_begin_with_it_come_first(registrar_client):
    names = [("Hall", "Berg"), ("Ada", "Hallberg"), ("Mary", "Marshall"), ("Grace", "Hall"), ("Rosa", "Haller")]
    for number, (given, family) in enumerate(names):
        make_student(student_number=f"S-{number}", given_name=given, family_name=family, email="")

    found_names = [title.partition(" ")[2] for title in found(registrar_client, "hall")]

    assert found_names == ["Grace Hall", "Ada Hallberg", "Rosa Haller", "Hall Berg", "Mary Marshall"]


def test_given_names_that_are_a_word_or_begin_with_it_come_before_parts_of_words(registrar_client):
    names = [("Geoffrey", "Adams"), ("Reyna", "Zeller"), ("Rey", "Gibson"), ("Audrey", "Brown"), ("Ada", "Reyes")]
    for number, (given, family) in enumerate(names):
        make_student(student_number=f"S-{number}", given_name=given, family_name=family, email="")

    found_names = [title.partition(" ")[2] for title in found(registrar_client, "rey")]

    assert found_names == ["Ada Reyes", "Rey Gibson", "Reyna Zeller", "Geoffrey Adams", "Audrey Brown"]


def test_codes_and_names_that_begin_with_a_word_come_before_parts_of_words(registrar_client):
    for code, name in [("GEO-1", "Cartography"), ("HIS-1", "History of Art"), ("ART-1", "Drawing")]:
        make_course(code=code, name=name)

    assert found(registrar_client, "art") == ["ART-1 Drawing", "HIS-1 History of Art", "GEO-1 Cartography"]


def test_a_search_without_results_says_what_can_be_searched(registrar_client):
    page = registrar_client.get("/admin/search/", {"s": "<zzz>", "extended": "1"}).content.decode()

    assert "No results for “&lt;zzz&gt;”" in page
    assert "students by number, name or email" in page
    assert "seconds" not in page


def test_pages_are_found_by_their_names(registrar_client):
    assert found(registrar_client, "enrollm") == ["Enrollments"]


def test_a_new_row_is_found_immediately(registrar_client, crowd):
    assert found(registrar_client, "hopper") == []
    make_student(student_number="S-9", given_name="Grace", family_name="Hopper")
    assert found(registrar_client, "hopper") == ["S-9 Grace Hopper"]


def test_users_find_only_rows_that_they_can_view(client, crowd):
    user = User.objects.create_user("guide", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_course"))
    client.force_login(user)

    assert found(client, "S-1042") == []
    assert found(client, "math-101") == [MATH, OLD]
    assert found(client, "ada math") == []


def test_an_anonymous_user_is_redirected_to_the_login(client, crowd):
    assert client.get("/admin/search/?s=ada").status_code == 302


@pytest.mark.parametrize("size", [1, 60])
def test_the_query_count_of_a_search_does_not_depend_on_the_number_of_results(
    registrar_client, actor, size, django_assert_max_num_queries
):
    course = make_course(code="MATH-101")
    for number in range(size):
        student = make_student(student_number=f"S-{number}", family_name="Byron")
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    registrar_client.get("/admin/password_change/")  # the first page of a session stores its start time

    with django_assert_max_num_queries(16):
        found(registrar_client, "byron math")
