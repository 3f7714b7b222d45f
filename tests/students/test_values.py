"""A value is treated identically at every entry point: the API, the forms of the admin, and files."""

import csv
import io
import unicodedata
from contextlib import closing
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import RequestFactory
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bulk.files.duplicate_rows import RowKeyIndex
from bulk.importers.base import apply_rows
from bulk.models import Import
from school.identifiers import MAX_CHECKED, identifier_fault, likely_identifiers, similar_identifiers
from school.text_normalization import INVISIBLE, normalized, normalized_email
from school.validators import identifier
from students.api.serializers.students import StudentSerializer
from students.imports import StudentImporter
from students.models import Student
from tests.support.factories import make_student

pytestmark = pytest.mark.django_db

# Confusable characters: invisible ones, dashes, full-width and combining ones, other alphabets, controls.
CATEGORIES: tuple[Any, ...] = ("Cf", "Cc", "Zs", "Zl", "Zp", "Pd", "Mn")
MISLEADING = st.one_of(
    st.characters(categories=CATEGORIES, exclude_characters="\r\n\0"),
    st.characters(min_codepoint=0xFF01, max_codepoint=0xFFEF),
    st.sampled_from("\u0301\u0308\u200b\u00ad\u2060\ufe0f\u3164\u2212\u2044АОе"),
)
TEXTS = st.text(st.one_of(st.sampled_from("AÉé e1-."), MISLEADING), max_size=8)
GOOD = {"student_number": "S-1", "given_name": "Ada", "family_name": "Byron", "email": ""}


def by_api(values):
    serializer = StudentSerializer(data=values)
    if serializer.is_valid():
        return {name: serializer.validated_data.get(name, "") for name in GOOD}
    return {(name, error.code) for name, errors in serializer.errors.items() for error in errors}


def by_form(values):
    form_class = admin.site.get_model_admin(Student).get_form(RequestFactory().get("/"))
    form = form_class(values | {"is_active": "on"})
    if form.is_valid():
        return {name: form.cleaned_data[name] for name in GOOD}
    return {(name, error.code) for name, errors in form.errors.as_data().items() for error in errors}


def by_file(values):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([list(GOOD), [values[name] for name in GOOD]])
    importer = StudentImporter(Import(kind="students"))
    importer.file = io.BytesIO(text.getvalue().encode())
    with closing(RowKeyIndex()) as first_rows, transaction.atomic():
        [result] = apply_rows(importer, list(importer.source()), first_rows)
        stored = Student.objects.values(*GOOD).filter(pk=result.object_id).first()
        transaction.set_rollback(True)
    return {(error.field, error.code) for error in result.errors} or stored


def same_result_everywhere(name, value):
    values = {**GOOD, name: value}
    told = {"api": by_api(values), "form": by_form(values), "file": by_file(values)}
    # For an empty number, Django's code is `required` in a form and `blank` elsewhere.
    codes = {
        door: {(field, code.replace("required", "blank")) for field, code in each} if isinstance(each, set) else each
        for door, each in told.items()
    }
    # Django's form field of an email address stops after its own check.
    for errors in codes.values():
        if isinstance(errors, set) and ("email", "invalid") in errors:
            errors.discard(("email", "control_characters"))
    assert codes["api"] == codes["form"] == codes["file"], (value, told)
    return told["api"]


ALIKE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ALIKE
@given(value=TEXTS)
def test_a_number_is_stored_or_refused_identically_at_every_entry_point(value):
    assume(
        not value.startswith(("'", "=", "+", "-", "@", "\t", "\r"))
    )  # a spreadsheet would evaluate it: cells are escaped
    told = same_result_everywhere("student_number", value)
    if isinstance(told, dict):
        stored = told["student_number"]
        assert stored == unicodedata.normalize("NFC", value).strip(INVISIBLE)
        assert not any(unicodedata.category(each) in ("Cf", "Cc", "Zl", "Zp") for each in stored)
        assert all(unicodedata.normalize("NFKC", each) == each for each in stored)


@ALIKE
@given(value=TEXTS, name=st.sampled_from(["given_name", "family_name"]))
def test_a_name_is_stored_or_refused_identically_at_every_entry_point(name, value):
    assume(not value.startswith(("'", "=", "+", "-", "@", "\t", "\r")))
    told = same_result_everywhere(name, value)
    if isinstance(told, dict):
        assert told[name] == unicodedata.normalize("NFC", value).strip(INVISIBLE)


@ALIKE
@given(
    value=st.builds(
        "{}@{}{}.example".format, TEXTS, st.text(st.sampled_from("aéÉ-"), min_size=1), st.just("") | MISLEADING
    )
)
def test_an_email_address_is_stored_or_refused_identically_at_every_entry_point(value):
    assume(not value.startswith(("'", "=", "+", "-", "@", "\t", "\r")))
    same_result_everywhere("email", value)


@given(st.text())
def test_normalizing_twice_changes_nothing(text):
    assert normalized(normalized(text)) == normalized(text)
    assert normalized_email(normalized_email(text)) == normalized_email(text)


@pytest.mark.parametrize("bell", ["Ada\x07", "A\x1b[2J", "Ada\u2028Maria"])
@pytest.mark.parametrize("name", ["given_name", "family_name"])
def test_control_characters_in_names_are_refused_at_every_entry_point(name, bell):
    assert same_result_everywhere(name, bell) == {(name, "control_characters")}


def test_invisible_names_are_blank_at_every_entry_point():
    values = {**GOOD, "given_name": "\u200b", "family_name": "\u2060\u3164"}

    assert [by_api(values), by_form(values), by_file(values)] == [{("family_name", "blank")}] * 3


def test_length_is_measured_after_normalizing():
    assert same_result_everywhere("student_number", "E\u0301" * 64)["student_number"] == "\u00c9" * 64
    assert same_result_everywhere("student_number", "E\u0301" * 65) == {("student_number", "max_length")}


@pytest.mark.parametrize("identifier_now_refused", ["S\u20111", "2,026", "S\u200b-1"])
def test_an_old_number_that_breaks_a_newer_rule_does_not_block_other_changes(api, identifier_now_refused):
    student = make_student(student_number=identifier_now_refused)
    body = {**GOOD, "student_number": identifier_now_refused, "given_name": "Zoe"}

    assert api.put(f"/api/v1/students/{student.pk}", body, "json").status_code == 200
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True)
    form_class = admin.site.get_model_admin(Student).get_form(request, student)
    form = form_class({**body, "family_name": "Adams", "is_active": "on"}, instance=student)
    assert form.is_valid(), form.errors
    with pytest.raises(ValidationError):
        identifier(identifier_now_refused)


def test_create_bulk_create_update_and_filter_normalize_values():
    decomposed, composed = "E\u0301-", "\u00c9-"
    saved = Student.objects.create(
        student_number=f"{decomposed}1", given_name=f"{decomposed}", email="A@E\u0301.EXAMPLE"
    )
    Student.objects.bulk_create([Student(student_number=f"{decomposed}2", given_name="A")])
    Student.objects.filter(student_number=f"{decomposed}2").update(family_name=decomposed)

    assert (saved.student_number, saved.email) == (f"{composed}1", "A@\u00e9.example")
    assert list(Student.objects.order_by("pk").values_list("student_number", "given_name", "family_name")) == [
        (f"{composed}1", composed, ""),
        (f"{composed}2", "A", composed),
    ]
    assert Student.objects.filter(student_number__in=[f"{decomposed}1"]).exists()


def test_email_addresses_with_non_ascii_letters_are_unique_in_any_case():
    make_student(email="ada@\u00c9COLE.example")

    for email in ("ADA@\u00e9cole.example", "ada@E\u0301cole.example"):
        assert StudentSerializer(data={**GOOD, "email": email}).is_valid() is False
        with pytest.raises(IntegrityError), transaction.atomic():
            make_student(email=email)


@pytest.mark.parametrize("search", ["\u00e9lodie", "\u00c9LODIE", "E\u0301lodie", "\u00f1"])
def test_search_ignores_the_case_of_non_ascii_letters(api, search):
    make_student(student_number="S-1", given_name="\u00c9lodie", family_name="Nu\u00d1ez")
    make_student(student_number="S-2", given_name="Elodie", family_name="Nunez")

    found = api.get("/api/v1/students", {"search": search}).json()["results"]

    assert [each["student_number"] for each in found] == ["S-1"]


def test_filters_normalize_their_values(api):
    make_student(student_number="\u00c9-1")

    assert len(api.get("/api/v1/students", {"student_number": "E\u0301-1"}).json()["results"]) == 1
    assert api.get("/api/v1/enrollments", {"student": "number:E\u0301-1"}).status_code == 200
    assert api.get("/api/v1/students/number:E\u0301-1").json()["student_number"] == "\u00c9-1"


def test_a_url_with_a_wrong_number_reports_the_character_or_suggests_the_student(api):
    make_student(student_number="S-1042")

    hidden = api.get("/api/v1/students/number:S-10\u200b42").json()
    other_case = api.get("/api/v1/students/number:s-1042").json()

    assert (hidden["status"], hidden["code"], hidden["detail"]) == (
        404,
        "invalid_identifier",
        "Remove the invisible U+200B ZERO WIDTH SPACE at position 5. Did you mean number:S-1042?",
    )
    assert (other_case["status"], other_case["code"], other_case["detail"]) == (
        404,
        "student_not_found",
        "There is no student number:s-1042. Did you mean number:S-1042?",
    )


def test_a_single_name_is_displayed_without_extra_space_or_comma():
    names = {
        name: str(Student(given_name=given, family_name=family))
        for name, given, family in (("both", "Ada", "Byron"), ("given", "Ada", ""), ("family", "", "Byron"))
    }
    assert names == {"both": "Ada Byron", "given": "Ada", "family": "Byron"}
    assert [Student(given_name="Ada", family_name=each).sorted_name for each in ("Byron", "")] == ["Byron, Ada", "Ada"]


def test_no_identifier_is_suggested_for_a_text_above_the_maximum_length():
    assert likely_identifiers("S" + "\u200b" * (MAX_CHECKED - 1)) == ["S", "s"]
    assert likely_identifiers("S" + "\u200b" * MAX_CHECKED) == []
    assert similar_identifiers("a b " * MAX_CHECKED) == []


def test_only_the_first_characters_of_a_long_text_are_checked():
    assert identifier_fault("x" * (MAX_CHECKED - 1) + "\u200b") == (
        f"Remove the invisible U+200B ZERO WIDTH SPACE at position {MAX_CHECKED}."
    )
    assert identifier_fault("x" * MAX_CHECKED + "\u200b") is None
