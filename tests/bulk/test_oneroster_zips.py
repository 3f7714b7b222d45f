"""Whole zips of OneRoster 1.1 and 1.2 with a manifest: terms, students, courses and enrollments, and deltas."""

import pytest
from django.core.management import call_command

from bulk.files.zip_reader import read_zip
from bulk.import_file_store import open_stored
from bulk.jobs.import_actions import approve, start_undo
from bulk.models import Import, ImportChannel, OnError, State
from bulk.personal_data.identifiers import Identifiers
from bulk.personal_data.redaction import redact
from courses.models import Course, Term
from students.models import Student
from tests.bulk.test_zips import imported, zipped_as
from tests.support.factories import make_course, make_term
from tests.support.imports import without_parts, work, worked_on
from tests.support.oneroster_zips import (
    GONE,
    HEADERS,
    as_csv,
    bundle,
    delta,
    enrollment,
    import_bundle,
    klass,
    open_enrollments,
    org,
    outcomes,
    role,
    rows,
    session,
    user,
)

pytestmark = pytest.mark.django_db

WHOLE = {"created": 4, "enrolled": 2, "skipped": 3}
UNCHANGED = {"unchanged": 6, "skipped": 3}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("on_error", [OnError.ABORT, OnError.SKIP])
def test_a_whole_zip_makes_terms_students_courses_and_enrollments(version, on_error):
    job = import_bundle(bundle(rows(version), version=version), on_error=on_error)

    assert (job.state, job.counts) == (State.DONE, {"created": 4, "enrolled": 2, "skipped": 3})
    [term] = Term.objects.all()
    assert (term.code, term.name, str(term.starts_on), str(term.ends_on)) == (
        "s-fall",
        "Fall 2026",
        "2026-08-24",
        "2026-12-18",
    )
    assert open_enrollments() == [("u-1", "ALG-1", "s-fall"), ("u-2", "ALG-1", "s-fall")]
    assert outcomes(job, "terms") == [
        ("skipped", "A session of the type schoolYear becomes a term only if a class refers to it."),
        ("created",),
    ]
    assert outcomes(job, "students") == [("created",), ("created",), ("skipped", "The role teacher is not student.")]
    assert outcomes(job, "enrollments")[2] == ("skipped", "The role teacher is not student.")


def test_the_same_zip_again_changes_nothing():
    import_bundle(bundle(rows()))

    again = import_bundle(bundle(rows()), again=True)

    assert (again.state, again.counts) == (State.DONE, {"unchanged": 6, "skipped": 3})


def test_a_zip_is_previewed_approved_and_undone_with_its_terms():
    preview = import_bundle(bundle({**rows(), "enrollments": [enrollment("t-1", kind="teacher")]}), review="always")
    before = (preview.state, preview.counts, Term.objects.count())

    approve(preview.pk)
    job = worked_on(preview)
    applied = (job.state, job.counts, Term.objects.count())
    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    counts = {"created": 4, "skipped": 3}
    assert (before, applied) == ((State.NEEDS_REVIEW, counts, 0), (State.DONE, counts, 1))
    assert (undo.counts, Term.objects.count(), Student.objects.count()) == ({"reversed": 4}, 0, 0)


def test_an_undo_keeps_a_term_that_is_used_and_names_the_reason():
    job = import_bundle(bundle(rows()))

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    assert outcomes(undo, "terms") == [("kept", "has_history")]
    assert list(Term.objects.values_list("code", flat=True)) == ["s-fall"]


def test_an_undo_restores_a_term_that_the_import_has_changed():
    make_term(code="2026F", name="Fall 2026", starts_on="2026-08-20", ends_on="2026-12-01")
    job = import_bundle(bundle({"orgs": [org()], "academicSessions": [session(parent="")]}))
    changed = [str(Term.objects.get().ends_on), outcomes(job, "terms")]

    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    assert changed == ["2026-12-18", [("updated",)]]
    assert (undo.counts, str(Term.objects.get().ends_on)) == ({"reversed": 1}, "2026-12-01")


def test_a_zip_sent_by_the_command_the_api_and_the_admin_has_one_result(tmp_path, api, registrar_client):
    path = tmp_path / "oneroster.zip"
    path.write_bytes(bundle(rows()).read())

    call_command("import_zip", str(path), "--level", "introductory")
    by_command = Import.objects.latest("pk")
    address = api.post(
        "/api/v1/imports?kind=zip&level=introductory&dataset=api", path.read_bytes(), content_type="application/zip"
    )["Location"]
    work()
    previewed = api.get(address).json()
    api.post(f"{address}/approve")
    work()
    by_api = Import.objects.latest("pk")
    form = {"kind": "zip", "dataset": "admin", "level": "introductory", "on_error": "abort", "mode": "delta"}
    with path.open("rb") as file:
        registrar_client.post("/admin/bulk/import/add/", {**form, "on_full": "reject", "file": file})
    work()
    by_admin = Import.objects.latest("pk")
    registrar_client.post(f"/admin/bulk/import/{by_admin.pk}/approve/")
    work()

    assert (by_command.state, by_command.counts) == (State.DONE, WHOLE)
    assert (previewed["state"], previewed["counts"]) == ("needs_review", UNCHANGED)
    done = [Import.objects.get(pk=each.pk) for each in (by_api, by_admin)]
    assert [(each.dataset, each.state, each.counts) for each in done] == [
        ("api", State.DONE, UNCHANGED),
        ("admin", State.DONE, UNCHANGED),
    ]


def test_an_undo_by_api_of_a_zip_sent_by_the_admin_is_reported_for_its_terms(api, registrar_client):
    packed = bundle({"orgs": [org()], "academicSessions": [session(parent="")]})
    packed.name = "terms.zip"
    form = {"kind": "zip", "dataset": "default", "on_error": "abort", "mode": "delta", "on_full": "reject"}
    registrar_client.post("/admin/bulk/import/add/", {**form, "level": "introductory", "file": packed})
    work()
    job = Import.objects.get()
    registrar_client.post(f"/admin/bulk/import/{job.pk}/approve/")
    work()
    page = registrar_client.get(f"/admin/bulk/import/{job.pk}/change/").content.decode()

    call_command("undo_import", str(job.pk))

    assert ("?part=terms" in page, Term.objects.count()) == (True, 0)
    assert Import.objects.latest("pk").counts == {"reversed": 1}


def test_a_session_that_a_class_refers_to_becomes_a_term_whatever_its_type():
    records = rows() | {"classes": [klass(term="s-year")]}

    import_bundle(bundle(records))

    assert sorted(Term.objects.values_list("code", flat=True)) == ["s-fall", "s-year"]
    assert open_enrollments()[0] == ("u-1", "ALG-1", "s-year")


def test_a_session_changes_the_term_that_it_matches_and_keeps_its_code_and_name():
    make_term(code="2026F", name="Herbst", starts_on="2026-08-20", ends_on="2026-12-01", drop_deadline="2026-09-30")
    records = rows() | {"academicSessions": [session(title="2026F", parent="")]}

    import_bundle(bundle(records))

    [term] = Term.objects.all()
    assert (term.code, term.name, str(term.ends_on), str(term.drop_deadline)) == (
        "2026F",
        "Herbst",
        "2026-12-18",
        "2026-09-30",
    )
    assert open_enrollments()[0] == ("u-1", "ALG-1", "2026F")


def test_a_term_with_the_id_of_the_session_as_its_code_is_preferred_to_one_with_its_title():
    make_term(code="s-fall", name="Old", starts_on="2026-08-24", ends_on="2026-12-18")
    make_term(code="other", name="Fall 2026", starts_on="2026-08-24", ends_on="2026-12-18")

    import_bundle(bundle(rows()))

    assert dict(Term.objects.values_list("code", "name")) == {"s-fall": "Fall 2026", "other": "Fall 2026"}
    assert open_enrollments()[0] == ("u-1", "ALG-1", "s-fall")


def test_an_id_that_cannot_be_a_code_gives_the_term_its_title_as_the_code():
    name = "5f0c7b1e-8a57-5d0e-9c3b-0d1c8e2f7a64"
    same = session("6" + name[1:], parent="")
    records = rows() | {"academicSessions": [session(name, parent=""), same], "classes": [klass(term=name)]}

    job = import_bundle(bundle(records))

    assert outcomes(job, "terms") == [("created",), ("unchanged",)]
    assert (list(Term.objects.values_list("code", flat=True)), open_enrollments()[0]) == (
        ["Fall 2026"],
        ("u-1", "ALG-1", "Fall 2026"),
    )


def test_a_term_of_other_dates_with_the_id_as_its_code_is_not_overwritten():
    make_term(code="s-fall", name="Old", starts_on="2020-08-24", ends_on="2020-12-18")

    job = import_bundle(bundle(rows()))

    assert (job.state, outcomes(job, "terms")[1], Term.objects.get().name) == (State.FAILED, ("error", "unique"), "Old")


def test_a_session_with_another_title_and_other_dates_is_the_term_that_it_became_before():
    long_id = "5f0c7b1e-8a57-5d0e-9c3b-0d1c8e2f7a64"
    for name, title in (("s-fall", "Fall 2026"), (long_id, "Spring 2027")):
        import_bundle(bundle({"orgs": [org()], "academicSessions": [session(name, title, parent="")]}))
    later = {"startDate": "2028-01-10", "endDate": "2028-05-20"}
    changed = [session("s-fall", "Late", **later), session(long_id, "Later", **later)]
    classes = [klass("c-1", "ALG-1"), klass("c-2", "ALG-2", long_id)]

    import_bundle(delta(academicSessions=changed, classes=classes))

    terms = dict(Term.objects.values_list("code", "name"))
    assert (terms, {str(term.ends_on) for term in Term.objects.all()}) == (
        {"s-fall": "Late", "Spring 2027": "Later"},
        {"2028-05-20"},
    )
    assert sorted(Course.objects.values_list("code", "term__code")) == [("ALG-1", "s-fall"), ("ALG-2", "Spring 2027")]


def test_a_delta_changes_a_session_that_is_a_term_although_it_names_no_class():
    import_bundle(bundle(rows() | {"classes": [klass(term="s-year")]}))

    job = import_bundle(delta(academicSessions=[session("s-year", "School year", "schoolYear", "")]))

    assert outcomes(job, "terms") == [("updated",)]
    assert Term.objects.get(code="s-year").name == "School year"


def test_sessions_that_match_several_terms_or_have_no_possible_code_are_errors():
    for code in ("a", "b"):
        make_term(code=code, name="Fall 2026", starts_on="2026-08-24", ends_on="2026-12-18")
    unnamed = session("x" * 40, "y" * 40, parent="")

    job = import_bundle(bundle({"orgs": [org()], "academicSessions": [session(parent=""), unnamed]}))

    assert outcomes(job, "terms") == [("error", "term_not_found"), ("error", "invalid_identifier")]


def test_a_user_with_several_roles_is_a_student_if_one_of_them_is():
    records = rows() | {"roles": [*rows()["roles"], role("t-1", roleType="secondary")]}

    import_bundle(bundle(records))

    assert sorted(Student.objects.values_list("student_number", flat=True)) == ["t-1", "u-1", "u-2"]


def test_roles_in_a_zip_without_a_manifest_are_read_too():
    names = ("users", "roles")
    records = {"users": [user("u-1"), user("t-1"), user("x-1")], "roles": [role("u-1"), role("t-1", "teacher")]}

    job = imported(zipped_as({f"{name}.csv": as_csv(HEADERS[name], records[name]) for name in names}))

    assert outcomes(job, "students") == [
        ("created",),
        ("skipped", "The role teacher is not student."),
        ("skipped", "The zip has no role of this user."),
    ]
    message = "Files in the zip that were only used to resolve references: roles.csv"
    assert without_parts(job.warnings)[-1] == {"code": "looked_up_files", "field": None, "message": message}


def test_declared_files_that_school_does_not_import_are_named_in_the_preview():
    modes = {"demographics": "bulk", "scoreScales": "delta"}
    texts = {"demographics": "sourcedId,sex\r\nu-1,female\r\n", "scoreScales": "anything\r\n", "notes": "a\r\n"}

    job = import_bundle(bundle(rows(), modes=modes, **texts), review="always")

    assert [each for each in without_parts(job.warnings) if each["code"] != "unknown_columns"] == [
        {
            "code": "looked_up_files",
            "field": None,
            "message": "Files in the zip that were only used to resolve references: roles.csv, courses.csv, orgs.csv",
        },
        {
            "code": "unread_files",
            "field": None,
            "message": "Files of OneRoster that School does not import: demographics.csv, scoreScales.csv",
        },
        {"code": "unread_files", "field": None, "message": "Ignored files in the zip: notes.csv"},
    ]


def test_columns_of_metadata_after_the_others_are_accepted():
    header = HEADERS["users"] + ",metadata.house,metadata.a"

    job = import_bundle(bundle(rows(), users=as_csv(header, rows()["users"])))

    assert (job.state, job.counts) == (State.DONE, WHOLE)


def test_a_delta_drops_deactivates_and_closes_what_is_to_be_deleted():
    import_bundle(bundle(rows()))

    job = import_bundle(
        delta(
            users=[user("u-2") | GONE, user("u-9") | GONE],
            classes=[klass() | GONE, klass("c-9", "OLD") | GONE],
            enrollments=[enrollment("u-1") | GONE, enrollment("u-2") | GONE],
        )
    )

    assert (job.state, open_enrollments()) == (State.DONE, [])
    assert outcomes(job, "students") == [("updated",), ("skipped", "School has no such student.")]
    assert outcomes(job, "courses") == [("updated",), ("skipped", "School has no course for this class.")]
    assert outcomes(job, "enrollments") == [("dropped",), ("dropped",)]
    assert dict(Student.objects.values_list("student_number", "is_active")) == {"u-1": True, "u-2": False}
    assert dict(Course.objects.values_list("code", "is_active")) == {"ALG-1": False}


def test_a_delta_refers_to_classes_and_sessions_of_earlier_zips_by_their_ids():
    make_course(code="c-1", term=None)
    import_bundle(bundle(rows()))

    job = import_bundle(
        delta(
            users=[user("u-3")],
            roles=[role("u-3")],
            classes=[klass("c-2", "ALG-2")],
            enrollments=[enrollment("u-3", "c-1"), enrollment("u-3", "c-2"), enrollment("u-1") | GONE],
        )
    )

    assert (job.state, job.counts) == (State.DONE, {"created": 2, "enrolled": 2, "dropped": 1})
    assert open_enrollments() == [
        ("u-2", "ALG-1", "s-fall"),
        ("u-3", "ALG-1", "s-fall"),
        ("u-3", "ALG-2", "s-fall"),
    ]


def test_a_delta_of_enrollments_alone_finds_classes_of_earlier_zips_of_its_own_dataset_only():
    import_bundle(bundle(rows()))
    alone = {"enrollments": [enrollment("u-1") | GONE]}

    elsewhere = import_bundle(delta(**alone), dataset="other")
    job = import_bundle(delta(**alone))

    assert outcomes(elsewhere, "enrollments") == [("error", "course_not_found")]
    assert (outcomes(job, "enrollments"), open_enrollments()) == ([("dropped",)], [("u-2", "ALG-1", "s-fall")])


def test_a_delta_of_users_keeps_the_roles_that_it_does_not_mention():
    import_bundle(bundle(rows()))
    users = [user("u-1", givenName="Augusta"), user("t-1"), user("u-2")]

    job = import_bundle(delta(users=users, roles=[role("u-2") | GONE]))

    assert outcomes(job, "students") == [
        ("updated",),
        ("skipped", "The zip has no role of this user, and School has no such student."),
        ("skipped", "The role of this user is deleted. Nothing else is changed."),
    ]
    assert Student.objects.get(student_number="u-1").given_name == "Augusta"


def test_a_session_that_is_to_be_deleted_is_refused_by_name_if_school_has_its_term():
    import_bundle(bundle(rows()))
    gone = [session() | GONE, session("s-old", "Old") | GONE, session("s-year", "2026/27", "schoolYear") | GONE]

    job = import_bundle(delta(academicSessions=gone), on_error=OnError.SKIP)

    assert outcomes(job, "terms") == [
        ("error", "invalid"),
        ("skipped", "School has no term for this session."),
        ("skipped", "A session of the type schoolYear becomes a term only if a class refers to it."),
    ]
    assert Term.objects.count() == 1


def test_a_redacted_zip_keeps_its_manifest_and_its_report():
    job = import_bundle(bundle(rows(), modes={"demographics": "bulk"}, demographics="sourcedId,sex\r\nu-1,female\r\n"))

    redact(job, Identifiers({"u-1"}, ()))

    job = Import.objects.get(pk=job.pk)
    texts = {table.name: table.content.read().decode() for table in read_zip(open_stored(job), job.size).tables}
    assert sorted(texts) == [
        "academicSessions.csv",
        "classes.csv",
        "courses.csv",
        "enrollments.csv",
        "manifest.csv",
        "roles.csv",
        "users.csv",
    ]
    assert [name for name, text in texts.items() if "u-1" in text] == []
    assert outcomes(job, "students")[0] == ("created",)
