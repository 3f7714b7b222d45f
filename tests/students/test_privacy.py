"""Personal data of a student: its complete export, its erasure and its retention."""

import json
from datetime import timedelta
from io import BytesIO, StringIO

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from bulk.import_file_store import open_stored
from bulk.jobs.import_actions import approve, start_undo
from bulk.jobs.submission import ImportRequest, submit
from bulk.models import Import, ImportChannel, OutcomePage
from bulk.personal_data.search import unpack_page
from school.access.access_log import Door
from school.models import KeptAnswer, PersonalDataAccess
from school.refusals import Refused
from students.enrollment import complete, drop, enroll
from students.models import EnrollmentEvent, RefusedAct, Student
from students.privacy import collect_personal_data, erase, find_person
from students.privacy.retention import apply_retention
from tests.support.factories import CANARY, make_course, make_student, make_term
from tests.support.imports import imported, worked_on

pytestmark = pytest.mark.django_db

STUDENTS = "student_number,given_name,family_name,email\n"
OTHER = "S-2"
SECRETS = ("S-1", "S-OLD", "Grace", "Hopper", "grace@x.example")


@pytest.fixture
def known_student(actor, registrar, registrar_client):
    """A student with personal data of every kind, and a second student."""
    imported(f"{STUDENTS}S-1,Grace,Hopper,grace@x.example\n{OTHER},Bob,Berg,\n", kind="students")
    student = Student.objects.get(student_number="S-1")
    course = make_course(code="MATH-101", term=make_term(code="2026F"))
    imported("student_number,course_code,term\nS-1,MATH-101,2026F\nS-1,NONE,\n", on_error="skip")
    complete(student_id=student.pk, course_id=course.pk, grade="A", reason="Hopper was fast", actor=actor)
    student.student_number = "S-OLD"
    student.save()
    student.student_number = "S-1"
    student.save()
    registrar_client.post(
        f"/admin/students/student/{student.pk}/change/", {**fields_of(student), "family_name": "Hopper"}
    )
    KeptAnswer.objects.create(
        user=registrar, key="k", fingerprint="", status=201, body='{"student_number": "S-1"}', at=timezone.now()
    )
    return student


def fields_of(student):
    names = ("student_number", "given_name", "family_name", "email")
    return {**{name: getattr(student, name) for name in names}, "is_active": "on"}


def command(*args, **options):
    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def nth_import(number):
    """Return the import that was sent as the first, the second and so on."""
    return Import.objects.order_by("pk")[number - 1]


def exported_data(number):
    return json.loads(command("export_student_data", number))


def test_all_personal_data_is_exported(known_student):
    held = exported_data("S-1")

    assert {name: held["student"][name] for name in ("id", "student_number", "given_name", "email")} == {
        "id": known_student.pk,
        "student_number": "S-1",
        "given_name": "Grace",
        "email": "grace@x.example",
    }
    assert [version["student_number"] for version in held["earlier_versions"]] == ["S-1", "S-OLD", "S-1", "S-1"]
    [enrollment] = held["enrollments"]
    assert (enrollment["course"]["code"], enrollment["status"], enrollment["grade"]) == ("MATH-101", "completed", "A")
    assert [(event["action"], event["reason"]) for event in enrollment["journal"]] == [
        ("enroll", ""),
        ("complete", "Hopper was fast"),
    ]
    assert [(job["kind"], [(row["number"], row["outcome"]) for row in job["rows"]]) for job in held["imports"]] == [
        ("students", [(2, "created")]),
        ("enrollments", [(2, "enrolled"), (3, "error")]),
    ]
    assert held["imports"][1]["rows"][1]["cells"] == {"student_number": "S-1", "course_code": "NONE", "term": ""}
    assert held["imports"][1]["rows"][1]["errors"] == ["There is no course code:NONE."]
    assert [(line["action"], line["door"]) for line in held["access"]] == [("exported", "command")]
    assert (len(held["admin_log"]), len(held["answers_kept_for_retries"])) == (1, 1)
    assert "Bob" not in json.dumps(held)


def test_the_html_export_has_the_same_content(known_student):
    page = command("export_student_data", "S-1", format="html")

    for word in (*SECRETS, "MATH-101@2026F", "Hopper was fast", "There is no course code:NONE."):
        assert word in page
    assert "<script" not in page


def test_an_export_file_is_readable_only_by_its_owner(known_student, tmp_path):
    file = tmp_path / "grace.json"

    said = command("export_student_data", "S-1", output=str(file), reason="asked for it", actor="registrar")

    line = PersonalDataAccess.objects.get()
    assert (said, json.loads(file.read_text())["student"]["id"]) == ("", known_student.pk)
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert (str(line.actor), line.student_id, line.reason) == ("registrar", known_student.pk, "asked for it")


def test_an_export_that_cannot_be_written_is_not_recorded(known_student, tmp_path):
    with pytest.raises(CommandError, match="Cannot write"):
        command("export_student_data", "S-1", output=str(tmp_path / "none" / "grace.json"))

    assert PersonalDataAccess.objects.count() == 0


def test_a_deleted_student_without_enrollments_is_exported_from_the_history(actor):
    student = make_student(student_number="S-9", given_name="Grace")
    pk = student.pk
    student.delete()

    held = exported_data("S-9")

    assert held["student"] is None
    assert [(version["change"], version["given_name"]) for version in held["earlier_versions"]] == [
        ("Created", "Grace"),
        ("Deleted", "Grace"),
    ]
    assert command("erase_student", "S-9", reason="asked for it", yes=True).splitlines()[0] == (
        f"The personal data was erased. The student is now called erased-{pk}."
    )
    with pytest.raises(CommandError, match="There is no student S-9"):
        command("export_student_data", "S-9")


def everything_in_the_database():
    """Return every value of every table, and every stored file."""
    models = apps.get_models(include_auto_created=True)
    values = [repr(row) for model in models for row in model._default_manager.values_list()]
    files = [open_stored(job).read().decode() for job in Import.objects.all()]
    pages = [json.dumps(unpack_page(page.content)) for page in OutcomePage.objects.all()]
    return "\n".join([*values, *files, *pages])


def test_only_free_text_of_the_journal_can_still_name_an_erased_student(known_student):
    before = everything_in_the_database()
    said = command("erase_student", "S-1", reason="asked for it", yes=True, actor="registrar").splitlines()
    after = everything_in_the_database()

    student, reason = Student.objects.get(pk=known_student.pk), EnrollmentEvent.objects.get(action="complete")
    assert [word for word in SECRETS if word not in before] == []
    assert [word for word in SECRETS if word in after.replace("Hopper was fast", "")] == []
    assert (student.student_number, student.given_name, student.is_active) == (f"erased-{known_student.pk}", "", False)
    assert str(student) == f"erased-{known_student.pk}"
    assert said == [
        f"The personal data was erased. The student is now called erased-{known_student.pk}.",
        "Earlier versions erased: 5.",
        f"Import {nth_import(1).pk}: 1 rows redacted.",
        f"Import {nth_import(2).pk}: 2 rows redacted.",
        f"Journal entry {reason.pk} has a reason that contains the name. The journal cannot be changed.",
    ]
    assert [row.student_number for row in Student.objects.exclude(pk=known_student.pk)] == [OTHER]
    assert list(known_student.enrollments.values_list("status", "grade")) == [("completed", "A")]
    assert EnrollmentEvent.objects.count() == 2


def test_erasing_is_recorded_in_the_journal(known_student):
    command("erase_student", "S-1", reason="asked for it", yes=True, actor="registrar")

    line = PersonalDataAccess.objects.get()
    newest = Student.history.filter(id=known_student.pk).first()
    assert (line.action, line.student_id, str(line.actor), line.door, line.reason) == (
        "erased",
        known_student.pk,
        "registrar",
        "command",
        "asked for it",
    )
    assert (newest.history_change_reason, newest.history_user.username) == ("erased", "registrar")


def test_an_erased_student_is_not_erased_again_and_not_found_by_number(known_student):
    command("erase_student", "S-1", reason="asked for it", yes=True)

    for number, why in [("S-1", "There is no student S-1."), (f"erased-{known_student.pk}", "already erased")]:
        with pytest.raises(CommandError, match=why):
            command("erase_student", number, reason="again", yes=True)
    assert exported_data(f"erased-{known_student.pk}")["student"]["given_name"] == ""


def test_open_enrollments_must_be_ended_before_erasing(known_student, actor):
    course = make_course(code="ART-1")
    enroll(student_id=known_student.pk, course_id=course.pk, actor=actor)

    with pytest.raises(CommandError, match="This student has open enrollments: ART-1"):
        command("erase_student", "S-1", reason="asked for it", yes=True)

    drop(student_id=known_student.pk, course_id=course.pk, actor=actor)
    command("erase_student", "S-1", reason="asked for it", yes=True)
    assert Student.objects.get(pk=known_student.pk).given_name == ""


def test_erasing_is_refused_while_a_pending_import_names_the_student(known_student):
    job = imported(f"{STUDENTS}S-1,Grace,Hopper,\n", kind="students", review="always")

    with pytest.raises(CommandError, match=rf"Import {job.pk} \(needs review\) may have rows about this student"):
        command("erase_student", "S-1", reason="asked for it", yes=True)

    approve(job.pk)
    worked_on(job)
    command("erase_student", "S-1", reason="asked for it", yes=True)
    assert b"Grace" not in open_stored(Import.objects.get(pk=job.pk)).read()


@pytest.mark.parametrize("is_undo", [False, True])
def test_erasing_is_refused_while_a_running_import_may_write_the_name(known_student, is_undo):
    job = nth_import(1)
    if is_undo:
        job = start_undo(job.pk, channel=ImportChannel.API, request_id="u")
    else:
        job = Import.objects.create(
            kind="enrollments", mode="full", scope="term:X", door=ImportChannel.API, request_id="r"
        )

    with pytest.raises(Refused) as refused:
        erase(find_person("S-1"), reason="art. 17", door=Door.COMMAND)

    message = f"Import {job.pk} (validating) may have rows about this student. Wait until it has ended, or cancel it."
    assert [(each.code, each.message) for each in refused.value.refusals] == [("named_by_active_import", message)]


@pytest.mark.parametrize(("answer", "is_left"), [("S-1", False), ("yes", True), ("", True)])
def test_the_command_asks_for_confirmation_before_erasing(known_student, monkeypatch, answer, is_left):
    monkeypatch.setattr("builtins.input", lambda _question: answer)

    if is_left:
        with pytest.raises(CommandError, match=r"Nothing was erased\."):
            command("erase_student", "S-1", reason="asked for it")
    else:
        command("erase_student", "S-1", reason="asked for it")

    assert Student.objects.filter(student_number="S-1").exists() == is_left


def test_erasing_requires_a_reason(known_student):
    with pytest.raises(Refused, match="An erasure requires a reason"):
        erase(find_person("S-1"), reason=" ", door=Door.COMMAND)


def test_no_entry_point_gives_an_erased_student_a_name(known_student, api, registrar_client):
    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)
    address = f"/admin/students/student/{known_student.pk}/change/"

    answer = api.patch(f"/api/v1/students/{known_student.pk}", {"given_name": "Grace"}, format="json")
    job = imported(f"{STUDENTS}erased-{known_student.pk},Grace,Hopper,\n", kind="students")
    page = registrar_client.post(address, {**fields_of(known_student), "given_name": "Grace"})

    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (
        400,
        "The data of this student was erased and cannot be entered again.",
    )
    assert (job.state, job.errors, page.status_code) == ("failed", 1, 403)
    with pytest.raises(IntegrityError), transaction.atomic():
        Student.objects.filter(pk=known_student.pk).update(given_name="Grace")
    assert Student.objects.get(pk=known_student.pk).given_name == ""


@pytest.mark.parametrize("number", ["S-1", "S-OLD", "erased-0"])
def test_no_entry_point_gives_an_erased_student_a_number(known_student, api, registrar_client, number):
    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)
    address = f"/admin/students/student/{known_student.pk}"
    version = Student.history.filter(id=known_student.pk).last()

    answers = [
        api.patch(f"/api/v1/students/{known_student.pk}", {"student_number": number}, format="json"),
        api.put(
            f"/api/v1/students/{known_student.pk}", {"student_number": number, "given_name": "Grace"}, format="json"
        ),
    ]
    pages = [
        registrar_client.post(f"{address}/change/", {**fields_of(known_student), "student_number": number}),
        registrar_client.post(
            f"{address}/history/{version.history_id}/", {**fields_of(known_student), "student_number": number}
        ),
    ]

    message = "The data of this student was erased and cannot be entered again."
    assert [(each.status_code, each.json()["errors"][0]["message"]) for each in answers] == [(400, message)] * 2
    assert [page.status_code for page in pages] == [403, 403]
    with pytest.raises(IntegrityError), transaction.atomic():
        Student.objects.filter(pk=known_student.pk).update(student_number=number)
    assert Student.objects.get(pk=known_student.pk).student_number == f"erased-{known_student.pk}"


@pytest.mark.parametrize("reason", ["S-1 asked", "for grace@X.example", "Mr HOPPER's letter", "formerly ｓ‑old"])
def test_a_reason_in_the_record_of_access_cannot_name_the_student(known_student, registrar_client, registrar, reason):
    permitted(registrar, "erase_student")

    with pytest.raises(Refused) as refused:
        erase(find_person("S-1"), reason=reason, door=Door.COMMAND)
    for name in ("erase_student", "export_student_data"):
        with pytest.raises(
            CommandError, match=r"which identifies the student\. Remove it, because the reason is stored permanently\."
        ):
            command(name, "S-1", reason=reason, **({"yes": True} if name == "erase_student" else {}))
    exported = registrar_client.post(f"{page_of(known_student)}export/", {"format": "json", "reason": reason})
    registrar_client.post(f"{page_of(known_student)}erase/", {"number": "S-1", "reason": reason})

    assert [(each.code, each.field) for each in refused.value.refusals] == [("reason_names_student", "reason")]
    assert [*exported.context["export_form"].errors] == ["reason"]
    assert PersonalDataAccess.objects.exclude(action="viewed").count() == 0
    assert Student.objects.get(pk=known_student.pk).student_number == "S-1"


def test_erasing_reports_records_of_access_that_name_the_student(known_student):
    line = PersonalDataAccess.objects.create(
        at=timezone.now(), door="command", action="exported", subject="student", student=known_student, reason="for S-1"
    )

    said = command("erase_student", "S-1", reason="asked for it", yes=True)

    assert said.splitlines()[-1] == (
        f"Entry {line.pk} in the record of access has a reason that contains the name. It cannot be changed."
    )


def test_a_number_of_another_student_in_different_case_is_not_redacted(known_student):
    make_student(student_number="s-1")
    imported("student_number,course_code\ns-1,NONE\nS-1,NONE\n", on_error="skip")

    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)

    assert open_stored(nth_import(3)).read() == b"student_number,course_code\ns-1,NONE\nxxx,xxxx\n"


def test_a_file_that_cannot_be_searched_is_deleted(known_student):
    job = worked_on(submit(BytesIO(b"student_number\nS-\xff1\n"), ImportRequest("enrollments", ImportChannel.API, "r")))

    said = command("erase_student", "S-1", reason="asked for it", yes=True)

    job.refresh_from_db()
    assert f"The file of import {job.pk} could not be searched and was deleted." in said.splitlines()
    assert (job.chunks.count(), job.discarded_at is not None) == (0, True)


def test_undoing_the_import_that_created_an_erased_student_restores_nothing(known_student):
    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)

    worked_on(start_undo(nth_import(1).pk, channel=ImportChannel.COMMAND, request_id="r"))

    assert (
        Student.objects.get(pk=known_student.pk).given_name,
        Student.objects.filter(student_number=OTHER).count(),
    ) == (
        "",
        0,
    )


def test_a_former_number_now_used_by_another_student_is_not_redacted(known_student):
    taken = make_student(student_number="S-OLD")
    imported("student_number,course_code\nS-OLD,NONE\n", on_error="skip")

    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)

    assert Student.objects.get(pk=taken.pk).student_number == "S-OLD"
    assert open_stored(nth_import(3)).read() == b"student_number,course_code\nS-OLD,NONE\n"


# In the admin


def permitted(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def page_of(student):
    return f"/admin/students/student/{student.pk}/personal-data/"


def test_the_page_previews_the_erasure_before_the_confirmation(known_student, registrar_client, registrar):
    permitted(registrar, "erase_student")

    page = registrar_client.get(page_of(known_student)).content.decode()

    for words in (
        "4 earlier versions of it",
        "1 enrollment",
        "2 entries of the journal",
        f"The student is renamed to erased-{known_student.pk}",
        "Erase permanently",
    ):
        assert words in page


def test_a_user_with_export_permission_only_sees_no_erase_form(known_student, registrar_client):
    page = registrar_client.get(page_of(known_student)).content.decode()

    assert ("Erase permanently" in page, page.count("<form method")) == (False, 1)
    assert registrar_client.post(f"{page_of(known_student)}erase/", {"number": "S-1", "reason": "x"}).status_code == 403


@pytest.mark.parametrize(("form", "kind"), [("json", "application/json"), ("html", "text/html")])
def test_an_export_in_the_admin_is_a_file_and_is_recorded(known_student, registrar_client, registrar, form, kind):
    answer = registrar_client.post(f"{page_of(known_student)}export/", {"format": form, "reason": "asked for it"})

    line = PersonalDataAccess.objects.get()
    assert (answer.headers["Content-Type"], answer.headers["Content-Disposition"]) == (
        f"{kind}; charset=utf-8",
        f'attachment; filename="student-{known_student.pk}.{form}"',
    )
    assert "Grace" in answer.content.decode()
    assert (line.action, line.door, line.actor, line.reason) == ("exported", "admin", registrar, "asked for it")


def test_erasing_in_the_admin_requires_the_number_and_a_reason(known_student, registrar_client, registrar):
    permitted(registrar, "erase_student")
    address = f"{page_of(known_student)}erase/"

    wrong = registrar_client.post(address, {"number": "S-2", "reason": "asked for it"})
    right = registrar_client.post(address, {"number": "S-1", "reason": "asked for it"}, follow=True)

    assert wrong.context["erase_form"].errors == {"number": ["This is not the student's number."]}
    assert next(str(message) for message in right.context["messages"]) == (
        f"The personal data was erased. The student is now called erased-{known_student.pk}."
    )
    assert Student.objects.get(pk=known_student.pk).given_name == ""
    assert [line.action for line in PersonalDataAccess.objects.order_by("pk")] == ["erased", "viewed"]


def test_erasing_in_the_admin_shows_the_obstacles(known_student, registrar_client, registrar, actor):
    permitted(registrar, "erase_student")
    enroll(student_id=known_student.pk, course_id=make_course(code="ART-1").pk, actor=actor)

    page = registrar_client.get(page_of(known_student)).content.decode()
    answer = registrar_client.post(f"{page_of(known_student)}erase/", {"number": "S-1", "reason": "x"}, follow=True)

    assert ("open enrollments: ART-1" in page, "Erase permanently" in page) == (True, False)
    assert [str(message) for message in answer.context["messages"]] == [
        "This student has open enrollments: ART-1. Drop or complete them first."
    ]
    assert Student.objects.get(pk=known_student.pk).given_name == "Grace"


# Retention


def days_ago(days):
    return timezone.now() - timedelta(days=days)


@pytest.fixture
def outdated_student(known_student, settings, registrar):
    """Create a row of each kind older than the retention settings, and a newer one."""
    settings.RETENTION_UPLOADS_DAYS, settings.RETENTION_STUDENTS_YEARS = 30, 2
    Import.objects.filter(pk=nth_import(1).pk).update(created_at=days_ago(31))
    KeptAnswer.objects.create(user=registrar, key="old", fingerprint="", status=200, at=days_ago(2))
    Session.objects.create(session_key="old", session_data="", expire_date=days_ago(1))
    for age in (30, 31):
        RefusedAct.objects.create(
            day=days_ago(age).date(), student=known_student, course=make_course(), codes="course_full"
        )
    gone = make_student(student_number="S-3")
    for student in (gone, known_student):
        Student.history.filter(id=student.pk).update(history_date=days_ago(800))
    return gone


def retention_output(**options):
    return command("apply_retention", **options).splitlines()


def test_data_older_than_the_retention_settings_is_deleted(outdated_student, known_student):
    dry = retention_output(dry_run=True)
    done = retention_output()

    assert dry == [
        "1 stored responses for retries.",
        "1 refusals.",
        "1 sessions that have ended.",
        "0 cached values of logins.",
        "1 files of imports and their outcomes.",
        "1 students, erased.",
    ]
    assert [line for line in done if "request counts" not in line] == dry
    assert list(Import.objects.exclude(discarded_at=None).values_list("pk", flat=True)) == [nth_import(1).pk]
    assert list(Student.objects.exclude(erased_at=None)) == [outdated_student]
    assert Student.objects.get(pk=known_student.pk).given_name == "Grace"  # the enrollment has changed since
    assert retention_output(dry_run=True) == ["0 stored responses for retries.", "0 refusals.",
        "0 sessions that have ended.", "0 cached values of logins.",
        "0 files of imports and their outcomes.", "0 students, erased."]  # fmt: skip
    assert PersonalDataAccess.objects.get().reason == "Kept for as long as the settings say."


def test_a_student_who_cannot_be_erased_yet_is_counted(outdated_student):
    imported(f"{STUDENTS}S-3,Ada,{CANARY},\n", kind="students", review="always")

    assert retention_output()[-1] == "0 students, erased, 1 refused."


def test_without_retention_settings_nothing_is_erased_or_discarded(outdated_student, settings):
    settings.RETENTION_UPLOADS_DAYS = settings.RETENTION_STUDENTS_YEARS = 0

    assert [each.kind for each in apply_retention(dry_run=True)] == [
        "stored responses for retries",
        "refusals",
        "sessions that have ended",
        "cached values of logins",
    ]


def test_a_discarded_import_is_marked_and_can_still_be_undone(outdated_student, registrar_client):
    job = nth_import(1)
    list(apply_retention())

    answer = registrar_client.get(f"/api/v1/imports/{job.pk}/report")
    page = registrar_client.get(f"/admin/bulk/import/{job.pk}/change/")
    undone = worked_on(start_undo(nth_import(1).pk, channel=ImportChannel.COMMAND, request_id="r"))

    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        f"The file of import {job.pk} and the results of its rows have been deleted.",
    )
    assert (page.status_code, registrar_client.get(f"/admin/bulk/import/{job.pk}/report/").status_code) == (200, 404)
    assert (undone.state, undone.counts) == ("done", {"kept": 1, "reversed": 1})
    with pytest.raises(CommandError, match="have been deleted"):
        command("import_report", job.pk)


def test_the_admin_log_keeps_the_user_and_anonymizes_the_erased_student(known_student):
    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)

    assert [(entry.user.username, entry.object_repr) for entry in LogEntry.objects.all()] == [
        ("registrar", f"erased-{known_student.pk}")
    ]


def test_the_record_of_access_is_append_only(known_student):
    collect_personal_data(find_person("S-1"))
    command("export_student_data", "S-1")

    for change in (PersonalDataAccess.objects.all().delete, lambda: PersonalDataAccess.objects.update(reason="")):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()
    assert PersonalDataAccess.objects.count() == 1


def test_refusals_of_a_student_are_exported_and_erased(known_student):
    course = make_course()
    RefusedAct.objects.create(
        day=timezone.localdate(),
        student=known_student,
        course=course,
        action="enroll",
        channel="api",
        codes="course_full",
    )

    [held] = collect_personal_data(find_person("S-1"))["refusals"]
    erase(find_person("S-1"), reason="asked for it", door=Door.COMMAND)

    assert (held["course_id"], held["action"], held["codes"]) == (course.pk, "enroll", "course_full")
    assert RefusedAct.objects.count() == 0
