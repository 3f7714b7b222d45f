"""References between the files of a zip: the ids of OneRoster and Canvas, and the matching rows of School."""

import io

import pytest
from django.core.management import call_command

from bulk.files.zip_reader import read_zip
from bulk.import_file_store import open_stored
from bulk.importers.import_parts import parts_of
from bulk.jobs.import_actions import start_undo
from bulk.models import Import, ImportChannel, OnError, State
from bulk.personal_data.identifiers import Identifiers
from bulk.personal_data.redaction import redact
from bulk.personal_data.search import person_rows
from bulk.reports import Report
from courses.models import Course
from students.models import EnrollmentEvent, StudentCourse
from tests.bulk.test_zips import code_of, imported, zipped_as
from tests.support.factories import make_course, make_student, make_term
from tests.support.imports import without_parts, worked_on

pytestmark = pytest.mark.django_db

USERS = "sourcedId,status,enabledUser,role,username,givenName,familyName,identifier\n" + "".join(
    f"u-{n},,true,student,user{n},Ada,Byron,{n}\n" for n in range(1, 5)
)
CLASSES = "sourcedId,status,dateLastModified,title,courseSourcedId,classCode,classType,schoolSourcedId,termSourcedIds\n"
ENROLLMENTS = "sourcedId,status,classSourcedId,schoolSourcedId,userSourcedId,role,primary\n"
COURSES = "sourcedId,status,title,courseCode,orgSourcedId\n"
SESSIONS = "sourcedId,status,title,type,startDate,endDate,schoolYear\n"
LEVEL = {"level": "introductory"}


@pytest.fixture(autouse=True)
def fall():
    return make_term(code="2026F", name="Fall 2026", starts_on="2026-08-24", ends_on="2026-12-18")


def class_row(sourced_id, code, *, title="Algebra", course="", status="", term="2026F"):
    return f'{sourced_id},{status},,{title},{course},{code},scheduled,org,"{term}"\n'


def enrollment(n, class_id, *, status="", role="student"):
    return f"e-{n},{status},{class_id},org,u-{n},{role},false\n"


def bundle(*, classes=None, enrollments="", **files):
    texts = {"users": USERS, "enrollments": ENROLLMENTS + enrollments, **files}
    texts |= {} if classes is None else {"classes": CLASSES + classes}
    return zipped_as({f"{name}.csv": text for name, text in texts.items()})


def import_zip(packed, *, on_error=OnError.SKIP, **options):
    return imported(packed, on_error=on_error, options={**LEVEL, **options})


def row_outcomes(job, kind):
    """Return for each row of a part the outcome, and code, field and message of each error."""
    [part] = [part for part in parts_of(job) if part.name == kind]
    return [(row.result.outcome, *row.result.errors) for row in Report(job, part).rows()]


def open_enrollments():
    """Return the open enrollments: student number, course code and term code."""
    return sorted(
        StudentCourse.objects.open().values_list("student__student_number", "course__code", "course__term__code")
    )


@pytest.mark.parametrize("on_error", [OnError.ABORT, OnError.SKIP])
def test_an_enrollment_refers_to_its_class_by_sourced_id_and_not_by_code(on_error):
    classes = class_row("c-1", "ALG-1") + class_row("c-2", "ALG-2")

    job = import_zip(
        bundle(classes=classes, enrollments=enrollment(1, "c-1") + enrollment(2, "c-2")), on_error=on_error
    )

    assert (job.state, job.counts) == (State.DONE, {"created": 6, "enrolled": 2})
    assert open_enrollments() == [("u-1", "ALG-1", "2026F"), ("u-2", "ALG-2", "2026F")]


def test_a_class_with_a_code_equal_to_another_sourced_id_does_not_get_its_students():
    classes = class_row("A", "B") + class_row("B", "A")

    import_zip(bundle(classes=classes, enrollments=enrollment(1, "A") + enrollment(2, "B")))

    assert open_enrollments() == [("u-1", "B", "2026F"), ("u-2", "A", "2026F")]


def test_a_course_with_a_code_equal_to_a_sourced_id_does_not_get_the_class_students():
    make_course(code="c-1")

    job = import_zip(bundle(classes=class_row("c-1", "ALG-1"), enrollments=enrollment(1, "c-1") + enrollment(2, "c-9")))

    assert open_enrollments() == [("u-1", "ALG-1", "2026F")]
    message = "enrollments.csv: classes.csv has no course with the sourcedId c-9."
    assert row_outcomes(job, "enrollments") == [("enrolled",), ("error", ("course_not_found", "course_code", message))]


def test_a_code_used_instead_of_a_sourced_id_is_refused_with_the_sourced_id():
    job = import_zip(
        bundle(classes=class_row("c-1", "ALG-1"), enrollments=enrollment(1, "ALG-1") + enrollment(2, "C-1"))
    )

    message = "enrollments.csv: classes.csv has no course with the sourcedId {}. Did you mean c-1?"
    assert row_outcomes(job, "enrollments") == [
        ("error", ("course_not_found", "course_code", message.format(name))) for name in ("ALG-1", "C-1")
    ]


def test_a_class_without_a_code_uses_its_sourced_id_as_the_code():
    import_zip(bundle(classes=class_row("c-1", ""), enrollments=enrollment(1, "c-1")))

    assert open_enrollments() == [("u-1", "c-1", "2026F")]


def test_two_classes_that_map_to_one_course_are_refused_with_their_enrollments():
    classes = class_row("c-1", "ALG") + class_row("c-2", "ALG") + class_row("c-3", "GEO")

    job = import_zip(bundle(classes=classes, enrollments="".join(enrollment(n, f"c-{n}") for n in (1, 2, 3))))

    message = (
        "classes.csv: Row {} has a different sourcedId but the same course ALG@2026F. Give each course its own code or "
        "section."
    )
    assert row_outcomes(job, "courses") == [
        ("error", ("duplicate_row", "course_code", message.format(3))),
        ("error", ("duplicate_row", "course_code", message.format(2))),
        ("created",),
    ]
    said = "enrollments.csv: classes.csv has several rows for the course with the sourcedId {}."
    assert row_outcomes(job, "enrollments") == [
        ("error", ("course_ambiguous", "course_code", said.format("c-1"))),
        ("error", ("course_ambiguous", "course_code", said.format("c-2"))),
        ("enrolled",),
    ]


def test_a_sourced_id_of_two_courses_is_refused_in_both_rows_and_their_enrollments():
    classes = class_row("c-1", "ALG") + class_row("c-1", "GEO")

    job = import_zip(bundle(classes=classes, enrollments=enrollment(1, "c-1")))

    message = "classes.csv: Row {} has the same sourcedId c-1 but a different course."
    assert row_outcomes(job, "courses") == [
        ("error", ("duplicate_row", "sourced_id", message.format(3))),
        ("error", ("duplicate_row", "sourced_id", message.format(2))),
    ]
    assert (row_outcomes(job, "enrollments")[0][0], open_enrollments()) == ("error", [])


def test_identical_rows_of_a_class_are_one_class():
    job = import_zip(bundle(classes=class_row("c-1", "ALG") * 2, enrollments=enrollment(1, "c-1")))

    assert (job.state, row_outcomes(job, "courses"), row_outcomes(job, "enrollments")) == (
        State.DONE,
        [("created",), ("unchanged",)],
        [("enrolled",)],
    )


def test_enrollments_of_a_failed_class_are_not_moved_to_a_course_with_its_code():
    make_course(code="ALG", term=make_term(code="2025F"))

    job = import_zip(bundle(classes=class_row("c-1", "ALG", status="gone", term=""), enrollments=enrollment(1, "c-1")))

    message = "enrollments.csv: There is no course code:ALG."
    assert row_outcomes(job, "enrollments") == [("error", ("course_not_found", "course_code", message))]


def test_classes_without_a_title_get_the_title_of_their_course():
    classes = class_row("k-1", "ALG-1", title="", course="c-1") + class_row("k-2", "ALG-2", title="Own", course="c-9")
    courses = COURSES + "c-1,,Algebra,ALG,org\nc-2,,Never taught,XX,org\n"

    job = import_zip(bundle(classes=classes, courses=courses, enrollments=enrollment(1, "k-1")), on_error=OnError.ABORT)

    assert (job.state, dict(Course.objects.values_list("code", "name"))) == (
        State.DONE,
        {"ALG-1": "Algebra", "ALG-2": "Own"},
    )
    assert open_enrollments() == [("u-1", "ALG-1", "2026F")]
    message = "Files in the zip that were only used to resolve references: courses.csv"
    assert without_parts(job.warnings)[-1] == {"code": "looked_up_files", "field": None, "message": message}


def test_a_class_without_a_title_and_without_its_course_has_an_error_in_the_title():
    classes = class_row("k-1", "ALG-1", title="", course="c-9")

    job = import_zip(bundle(classes=classes, courses=COURSES + "c-1,,Algebra,ALG,org\n", enrollments=""))

    message = "classes.csv: This class has no title, and courses.csv has none, or several, for the course c-9."
    assert row_outcomes(job, "courses") == [("error", ("blank", "name", message))]


def test_oneroster_courses_without_classes_are_refused():
    courses = COURSES + "c-1,,Algebra,c-1,org\n"

    job = import_zip(bundle(courses=courses, enrollments=enrollment(1, "c-1")))

    message = "courses.csv has courses, but enrollments.csv refers to classes. Add classes.csv to the zip."
    assert (code_of(job), job.problems[0]["message"], Course.objects.count()) == (
        (State.FAILED, "missing_file"),
        message,
        0,
    )


def test_two_files_of_course_offerings_are_refused():
    native = "course_code,term,name,level\nM-1,2026F,Maths,introductory\n"

    job = import_zip(zipped_as({"courses.csv": native, "classes.csv": native}))

    message = "The zip has more than one file of courses: courses.csv, classes.csv. Send only one."
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "duplicate_file"), message)


def test_two_files_of_sessions_are_refused():
    job = import_zip(bundle(classes="", **{"academicSessions": SESSIONS, "old/academicSessions": SESSIONS}))

    message = "The zip has more than one file of academicsessions: academicSessions.csv, old/academicSessions.csv. "
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "duplicate_file"), message + "Send only one.")


@pytest.mark.parametrize(
    "session",
    [
        "2026F,,Herbst,term,2026-08-01,2026-12-31,2027",
        "s-1,,2026F,term,2026-08-01,2026-12-31,2027",
        "s-1,,Fall 2026,semester,2026-12-18,2026-12-31,2027",
        "s-1,,Fall 2026,semester,,,2027",
    ],
)
def test_a_session_matches_a_term_by_sourced_id_or_title_as_code_or_title_as_name(session):
    classes = class_row("c-1", "ALG", term=session.partition(",")[0])

    import_zip(bundle(classes=classes, academicSessions=f"{SESSIONS}{session}\n", enrollments=enrollment(1, "c-1")))

    assert open_enrollments() == [("u-1", "ALG", "2026F")]


def test_a_session_does_not_match_a_term_of_other_dates_with_its_sourced_id_as_code():
    make_term(code="s-1", starts_on="2020-01-01", ends_on="2020-06-30")
    session = "s-1,,Fall 2026,semester,2026-08-01,2026-12-31,2027\n"

    import_zip(bundle(classes=class_row("c-1", "ALG", term="s-1"), academicSessions=SESSIONS + session))

    assert list(Course.objects.values_list("term__code", flat=True)) == ["2026F"]


def test_a_session_that_matches_no_term_or_several_is_an_error_of_the_class():
    make_term(code="other", name="Fall 2026", starts_on="2026-08-24", ends_on="2026-12-18")
    sessions = (
        SESSIONS + "s-1,,Fall 2026,term,2026-08-01,2026-12-31,2027\ns-2,,Spring,term,2027-01-01,2027-06-30,2027\n"
        "s-3,,2026F,term,01/08/2026,,2027\ns-4,,2026F,term,,,\ns-4,,other,term,,,\n"
    )
    classes = "".join(class_row(f"c-{n}", f"A-{n}", term=f"s-{n}") for n in range(1, 6))

    job = import_zip(bundle(classes=classes, academicSessions=sessions, enrollments=enrollment(1, "c-1")))

    found = [error for _outcome, *errors in row_outcomes(job, "courses") for error in errors]
    assert {tuple(error[:2]) for error in found} == {("term_not_found", "term")}
    file = "academicSessions.csv"
    assert [error[2].removeprefix("classes.csv: ") for error in found] == [
        f"The session s-1 (Fall 2026) of {file} matches several terms: 2026F, other.",
        f"No term matches the session s-2 (Spring) of {file}."
        " Its sourcedId or title must be the code, or its title the name, of a term whose dates overlap.",
        f"Row 4 of {file} has an invalid date. Write it like 2026-08-31.",
        f"{file} has several sessions with the sourcedId s-4.",
        f"{file} has no session with the sourcedId s-5.",
    ]
    message = "enrollments.csv: Row 2 of classes.csv, which has the course c-1, has an error."
    assert row_outcomes(job, "enrollments") == [("error", ("course_not_found", "course_code", message))]


def test_a_class_in_several_terms_is_refused_but_a_repeated_term_is_accepted():
    make_term(code="2027S")
    classes = class_row("c-1", "ALG", term="2026F,2027S") + class_row("c-2", "GEO", term="2026F, 2026F")

    job = import_zip(bundle(classes=classes, enrollments=enrollment(1, "c-1") + enrollment(2, "c-2")))

    message = "classes.csv: This class is in several terms (2026F, 2027S), but a course has one term. Give only one."
    assert row_outcomes(job, "courses") == [("error", ("several_terms", "term", message)), ("created",)]
    assert open_enrollments() == [("u-2", "GEO", "2026F")]


def test_a_canvas_course_id_means_the_course_in_the_zip_and_not_one_of_another_term():
    make_course(code="ALG", term=None)
    make_course(code="ALG", term=make_term(code="2025F"))
    files = {
        "users.csv": "user_id,login_id,first_name,last_name,status\nu-1,a,Ada,Byron,active\n",
        "courses.csv": "course_id,short_name,long_name,term_id,status\nALG,ALG,Algebra,2026F,active\n",
        "enrollments.csv": "course_id,user_id,role,section_id,status\nALG,u-1,student,,active\n",
    }

    import_zip(zipped_as(files), term="2025F")

    assert open_enrollments() == [("u-1", "ALG", "2026F")]


def test_a_failed_course_without_a_term_is_not_replaced_by_one_of_a_term():
    make_course(code="ALG", term=make_term(code="2025F"))
    make_student(student_number="u-1")
    courses = "course_id,long_name,status,is_active\nALG,Algebra,active,perhaps\n"

    job = import_zip(
        zipped_as({"courses.csv": courses, "enrollments.csv": "course_id,user_id\nALG,u-1\n"}), term="2025F"
    )

    assert row_outcomes(job, "courses")[0][0] == "error"
    message = "enrollments.csv: There is no course code:ALG."
    assert row_outcomes(job, "enrollments") == [("error", ("course_not_found", "course_code", message))]


def test_a_canvas_course_with_its_own_code_is_referenced_by_its_id():
    make_course(code="7")
    make_student(student_number="u-1")
    files = {
        "courses.csv": "course_id,course_code,name,term\n7,ALG,Algebra,2026F\n8,GEO,Geometry,2026F\n",
        "enrollments.csv": "course_id,user_id,term\n7,u-1,\n8,u-1,2025F\n",
    }

    job = import_zip(zipped_as(files))

    assert open_enrollments() == [("u-1", "ALG", "2026F")]
    message = "enrollments.csv: courses.csv has the course with the course_id 8 in another term: GEO@2026F."
    assert row_outcomes(job, "enrollments")[1] == ("error", ("course_not_found", "term", message))


def test_canvas_sections_resolve_to_their_courses():
    for n in range(1, 6):
        make_student(student_number=f"u-{n}")
    files = {
        "courses.csv": "course_id,long_name,term_id,status\nC-1,Algebra,2026F,active\nC-2,Geometry,2026F,active\n",
        "sections.csv": "section_id,course_id,name,status\nS-1,C-1,One,active\nS-2,C-2,Two,active\n"
        "S-3,C-1,Three,active\nS-3,C-2,Three,active\n",
        "enrollments.csv": "course_id,user_id,role,section_id,status\n,u-1,student,S-1,active\n"
        "C-2,u-2,student,S-2,active\nC-1,u-3,student,S-2,active\n,u-4,student,S-9,active\n,u-5,student,S-3,active\n",
    }

    job = import_zip(zipped_as(files))

    message = "enrollments.csv: sections.csv has the section {} in another course: {}."
    assert row_outcomes(job, "enrollments") == [
        ("enrolled",),
        ("enrolled",),
        ("error", ("course_ambiguous", "section_id", message.format("S-2", "C-2"))),
        ("error", ("blank", "course_code", "enrollments.csv: This row has only the section S-9. Add its course.")),
        ("error", ("course_ambiguous", "section_id", message.format("S-3", "C-1, C-2"))),
    ]
    assert open_enrollments() == [("u-1", "C-1", "2026F"), ("u-2", "C-2", "2026F")]


def test_a_code_without_a_term_means_the_only_offering_in_the_zip():
    make_course(code="ALG", term=None)
    make_term(code="2027S")
    make_student(student_number="u-1")
    make_student(student_number="u-2")
    courses = "course_code,term,name\nALG,2026F,Algebra\nGEO,2026F,Geometry\nGEO,2027S,Geometry\n"
    enrollments = "student_number,course_code,term\nu-1,ALG,\nu-2,GEO,\nu-2,GEO,2027S\n"

    job = import_zip(zipped_as({"courses.csv": courses, "enrollments.csv": enrollments}))

    message = "enrollments.csv: GEO is offered in several terms (2026F, 2027S). Add the term."
    assert row_outcomes(job, "enrollments") == [
        ("enrolled",),
        ("error", ("course_ambiguous", "term", message)),
        ("enrolled",),
    ]
    assert open_enrollments() == [("u-1", "ALG", "2026F"), ("u-2", "GEO", "2027S")]


def test_the_term_option_selects_among_the_offerings_in_the_zip():
    make_term(code="2027S")
    make_student(student_number="u-1")
    courses = "course_code,term,name\nGEO,2026F,Geometry\nGEO,2027S,Geometry\n"

    import_zip(
        zipped_as({"courses.csv": courses, "enrollments.csv": "student_number,course_code\nu-1,GEO\n"}), term="2027S"
    )

    assert open_enrollments() == [("u-1", "GEO", "2027S")]


def test_without_classes_in_the_zip_enrollments_refer_to_existing_courses_by_code():
    make_course(code="c-1", term=None)

    job = import_zip(bundle(enrollments=enrollment(1, "c-1") + enrollment(2, "C-1")))

    message = "enrollments.csv: There is no course code:C-1. Did you mean code:c-1?"
    assert row_outcomes(job, "enrollments") == [("enrolled",), ("error", ("course_not_found", "course_code", message))]


def test_rows_of_teachers_are_skipped_and_rows_to_be_deleted_drop_students():
    classes = class_row("c-1", "ALG")
    import_zip(bundle(classes=classes, enrollments=enrollment(1, "c-1") + enrollment(2, "c-1")))
    changed = (
        enrollment(1, "c-1", status="tobedeleted") + enrollment(2, "c-1") + enrollment(3, "no-class", role="teacher")
    )

    job = import_zip(bundle(classes=classes, enrollments=changed))

    assert (job.state, [outcome for outcome, *_errors in row_outcomes(job, "enrollments")]) == (
        State.DONE,
        ["dropped", "unchanged", "skipped"],
    )


def test_all_errors_of_a_row_are_reported_and_failed_rows_are_returned_unchanged():
    enrollments = enrollment(1, "c-9", status="lost") + enrollment(9, "c-1") + enrollment(2, "c-1")

    job = import_zip(bundle(classes=class_row("c-1", "ALG", status="gone", title="x" * 300), enrollments=enrollments))

    assert [[error[:2] for error in errors] for _outcome, *errors in row_outcomes(job, "enrollments")][:2] == [
        [("course_not_found", "course_code"), ("invalid_choice", "status")],
        [("student_not_found", "student_number"), ("course_not_found", "course_code")],
    ]
    [part] = [part for part in parts_of(job) if part.name == "enrollments"]
    assert "".join(Report(job, part).failed_as_csv()).replace("\r", "") == ENROLLMENTS + enrollments


def test_the_same_zip_again_changes_nothing_and_can_be_undone():
    packed = bundle(classes=class_row("A", "B") + class_row("B", "A"), enrollments=enrollment(1, "A"))
    job = import_zip(packed)
    events = EnrollmentEvent.objects.count()
    packed.seek(0)
    again = imported(packed, on_error=OnError.SKIP, options=LEVEL, again=True)

    assert (again.counts, EnrollmentEvent.objects.count()) == ({"unchanged": 7}, events)
    undo = worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))
    assert (undo.counts, open_enrollments()) == ({"reversed": 5, "kept": 2}, [])


def test_a_preview_reports_the_outcomes_of_the_real_run():
    packed = bundle(classes=class_row("A", "B") + class_row("c-1", "X"), enrollments=enrollment(1, "A"))
    preview = imported(packed, on_error=OnError.SKIP, options=LEVEL, review="dry_run")
    packed.seek(0)
    seen = {kind: row_outcomes(preview, kind) for kind in ("students", "courses", "enrollments")}

    job = import_zip(packed)

    assert ({kind: row_outcomes(job, kind) for kind in seen}, job.counts) == (seen, preview.counts)


def test_redacting_a_person_in_a_zip_keeps_the_files_needed_for_references():
    sessions = SESSIONS + "s-1,,Fall 2026,term,2026-08-01,2026-12-31,2027\n"
    courses = COURSES + "c-1,,Algebra,ALG,u-1\n"
    classes = class_row("k-1", "ALG-1", title="", course="c-1", term="s-1")
    files = {"classes": classes, "courses": courses, "academicSessions": sessions}
    job = import_zip(bundle(**files, enrollments=enrollment(1, "k-1") + enrollment(2, "k-1")))
    ada = Identifiers({"u-1"}, ())

    rows = [(row.part, row.number, row.outcome) for row in person_rows(job, ada)]
    redact(job, ada)

    assert rows == [("students", 2, "created"), ("enrollments", 2, "enrolled"), ("", 2, "")]
    job = Import.objects.get(pk=job.pk)
    names = [table.name for table in read_zip(open_stored(job), job.size).tables]
    assert names == ["users.csv", "enrollments.csv", "courses.csv", "academicSessions.csv", "classes.csv"]


def test_classes_sent_alone_are_refused_if_two_map_to_one_course():
    text = CLASSES + class_row("c-1", "ALG") + class_row("c-2", "ALG") + class_row("c-3", "GEO")

    job = imported(io.BytesIO(text.encode()), kind="courses", on_error=OnError.SKIP, options=LEVEL)

    assert (job.counts, list(Course.objects.values_list("code", flat=True))) == ({"error": 2, "created": 1}, ["GEO"])


def test_the_command_resolves_references_like_the_api(tmp_path):
    path = tmp_path / "oneroster.zip"
    classes = class_row("A", "B") + class_row("B", "A")
    path.write_bytes(bundle(classes=classes, enrollments=enrollment(1, "A") + enrollment(2, "B")).read())

    call_command("import_zip", str(path), "--level", "introductory")

    assert open_enrollments() == [("u-1", "B", "2026F"), ("u-2", "A", "2026F")]
