"""References between the files of a zip: the ids of OneRoster and Canvas, and what School calls the same."""

import io

import pytest
from django.core.management import call_command

from bulk.file_store import open_kept
from bulk.files.zip_reader import contents_of_zip
from bulk.importers.registry import parts_of
from bulk.jobs.lifecycle import start_undo
from bulk.models import Door, Import, OnError, State
from bulk.personal_data.redaction import black_out
from bulk.personal_data.search import Words, rows_naming
from bulk.reports import Report
from courses.models import Course
from students.models import EnrollmentEvent, StudentCourse
from tests.bulk.test_zips import code_of, imported, zipped_as
from tests.bulk.work import without_parts, worked_on
from tests.factories import make_course, make_student, make_term

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


def brought(packed, *, on_error=OnError.SKIP, **options):
    return imported(packed, on_error=on_error, options={**LEVEL, **options})


def told(job, kind):
    """What became of each row of a part: the outcome, and code, field and message of each error."""
    [part] = [part for part in parts_of(job) if part.name == kind]
    return [(row.told.outcome, *row.told.errors) for row in Report(job, part).rows()]


def seats():
    """The open enrollments: the student's number, the code and the term of the course."""
    return sorted(
        StudentCourse.objects.open().values_list("student__student_number", "course__code", "course__term__code")
    )


@pytest.mark.parametrize("on_error", [OnError.ABORT, OnError.SKIP])
def test_an_enrollment_names_its_class_by_the_sourced_id_and_not_by_the_code(on_error):
    classes = class_row("c-1", "ALG-1") + class_row("c-2", "ALG-2")

    job = brought(bundle(classes=classes, enrollments=enrollment(1, "c-1") + enrollment(2, "c-2")), on_error=on_error)

    assert (job.state, job.counts) == (State.DONE, {"created": 6, "enrolled": 2})
    assert seats() == [("u-1", "ALG-1", "2026F"), ("u-2", "ALG-2", "2026F")]


def test_a_class_whose_code_is_the_sourced_id_of_another_one_does_not_get_its_students():
    classes = class_row("A", "B") + class_row("B", "A")

    brought(bundle(classes=classes, enrollments=enrollment(1, "A") + enrollment(2, "B")))

    assert seats() == [("u-1", "B", "2026F"), ("u-2", "A", "2026F")]


def test_a_course_of_school_whose_code_is_a_sourced_id_does_not_get_the_students_of_the_class():
    make_course(code="c-1")

    job = brought(bundle(classes=class_row("c-1", "ALG-1"), enrollments=enrollment(1, "c-1") + enrollment(2, "c-9")))

    assert seats() == [("u-1", "ALG-1", "2026F")]
    message = "enrollments.csv: classes.csv has no course with the sourcedId c-9."
    assert told(job, "enrollments") == [("enrolled",), ("error", ("course_not_found", "course_code", message))]


def test_a_code_in_the_place_of_a_sourced_id_is_refused_with_the_sourced_id():
    job = brought(bundle(classes=class_row("c-1", "ALG-1"), enrollments=enrollment(1, "ALG-1") + enrollment(2, "C-1")))

    message = "enrollments.csv: classes.csv has no course with the sourcedId {}. Did you mean c-1?"
    assert told(job, "enrollments") == [
        ("error", ("course_not_found", "course_code", message.format(name))) for name in ("ALG-1", "C-1")
    ]


def test_a_class_without_a_code_has_its_sourced_id_as_the_code():
    brought(bundle(classes=class_row("c-1", ""), enrollments=enrollment(1, "c-1")))

    assert seats() == [("u-1", "c-1", "2026F")]


def test_two_classes_that_would_be_one_course_are_both_refused_and_so_are_their_enrollments():
    classes = class_row("c-1", "ALG") + class_row("c-2", "ALG") + class_row("c-3", "GEO")

    job = brought(bundle(classes=classes, enrollments="".join(enrollment(n, f"c-{n}") for n in (1, 2, 3))))

    message = (
        "classes.csv: Row {} has a different sourcedId but the same course ALG@2026F. Give each course its own code."
    )
    assert told(job, "courses") == [
        ("error", ("duplicate_row", "course_code", message.format(3))),
        ("error", ("duplicate_row", "course_code", message.format(2))),
        ("created",),
    ]
    said = "enrollments.csv: classes.csv has several rows for the course with the sourcedId {}."
    assert told(job, "enrollments") == [
        ("error", ("course_ambiguous", "course_code", said.format("c-1"))),
        ("error", ("course_ambiguous", "course_code", said.format("c-2"))),
        ("enrolled",),
    ]


def test_a_sourced_id_of_two_courses_is_refused_in_both_rows_and_in_its_enrollments():
    classes = class_row("c-1", "ALG") + class_row("c-1", "GEO")

    job = brought(bundle(classes=classes, enrollments=enrollment(1, "c-1")))

    message = "classes.csv: Row {} has the same sourcedId c-1 but a different course."
    assert told(job, "courses") == [
        ("error", ("duplicate_row", "sourced_id", message.format(3))),
        ("error", ("duplicate_row", "sourced_id", message.format(2))),
    ]
    assert (told(job, "enrollments")[0][0], seats()) == ("error", [])


def test_a_class_that_is_there_twice_word_for_word_is_one_class():
    job = brought(bundle(classes=class_row("c-1", "ALG") * 2, enrollments=enrollment(1, "c-1")))

    assert (job.state, told(job, "courses"), told(job, "enrollments")) == (
        State.DONE,
        [("created",), ("unchanged",)],
        [("enrolled",)],
    )


def test_a_class_that_has_failed_gives_its_enrollments_to_no_course_of_the_same_code():
    make_course(code="ALG", term=make_term(code="2025F"))

    job = brought(bundle(classes=class_row("c-1", "ALG", status="gone", term=""), enrollments=enrollment(1, "c-1")))

    message = "enrollments.csv: There is no course code:ALG."
    assert told(job, "enrollments") == [("error", ("course_not_found", "course_code", message))]


def test_courses_give_titles_to_classes_that_have_none():
    classes = class_row("k-1", "ALG-1", title="", course="c-1") + class_row("k-2", "ALG-2", title="Own", course="c-9")
    courses = COURSES + "c-1,,Algebra,ALG,org\nc-2,,Never taught,XX,org\n"

    job = brought(bundle(classes=classes, courses=courses, enrollments=enrollment(1, "k-1")), on_error=OnError.ABORT)

    assert (job.state, dict(Course.objects.values_list("code", "name"))) == (
        State.DONE,
        {"ALG-1": "Algebra", "ALG-2": "Own"},
    )
    assert seats() == [("u-1", "ALG-1", "2026F")]
    message = "Files in the zip that were only used to resolve references: courses.csv"
    assert without_parts(job.warnings)[-1] == {"code": "looked_up_files", "field": None, "message": message}


def test_a_class_without_a_title_whose_course_is_not_there_is_an_error_of_its_title():
    classes = class_row("k-1", "ALG-1", title="", course="c-9")

    job = brought(bundle(classes=classes, courses=COURSES + "c-1,,Algebra,ALG,org\n", enrollments=""))

    message = "classes.csv: This class has no title, and courses.csv has none, or several, for the course c-9."
    assert told(job, "courses") == [("error", ("blank", "name", message))]


def test_courses_of_oneroster_without_their_classes_are_no_classes():
    courses = COURSES + "c-1,,Algebra,c-1,org\n"

    job = brought(bundle(courses=courses, enrollments=enrollment(1, "c-1")))

    message = "courses.csv has courses, but enrollments.csv refers to classes. Add classes.csv to the zip."
    assert (code_of(job), job.problems[0]["message"], Course.objects.count()) == (
        (State.FAILED, "missing_file"),
        message,
        0,
    )


def test_two_files_of_offerings_are_refused():
    native = "course_code,term,name,level\nM-1,2026F,Maths,introductory\n"

    job = brought(zipped_as({"courses.csv": native, "classes.csv": native}))

    message = "The zip has more than one file of courses: courses.csv, classes.csv. Send only one."
    assert (code_of(job), job.problems[0]["message"]) == ((State.FAILED, "duplicate_file"), message)


def test_two_files_of_sessions_are_refused():
    job = brought(bundle(classes="", **{"academicSessions": SESSIONS, "old/academicSessions": SESSIONS}))

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
def test_a_session_is_the_term_with_its_sourced_id_or_title_as_the_code_or_its_title_as_the_name(session):
    classes = class_row("c-1", "ALG", term=session.partition(",")[0])

    brought(bundle(classes=classes, academicSessions=f"{SESSIONS}{session}\n", enrollments=enrollment(1, "c-1")))

    assert seats() == [("u-1", "ALG", "2026F")]


def test_a_session_is_no_term_of_another_time_whose_code_is_its_sourced_id():
    make_term(code="s-1", starts_on="2020-01-01", ends_on="2020-06-30")
    session = "s-1,,Fall 2026,semester,2026-08-01,2026-12-31,2027\n"

    brought(bundle(classes=class_row("c-1", "ALG", term="s-1"), academicSessions=SESSIONS + session))

    assert list(Course.objects.values_list("term__code", flat=True)) == ["2026F"]


def test_a_session_that_is_no_term_or_several_is_an_error_of_the_class():
    make_term(code="other", name="Fall 2026", starts_on="2026-08-24", ends_on="2026-12-18")
    sessions = (
        SESSIONS + "s-1,,Fall 2026,term,2026-08-01,2026-12-31,2027\ns-2,,Spring,term,2027-01-01,2027-06-30,2027\n"
        "s-3,,2026F,term,01/08/2026,,2027\ns-4,,2026F,term,,,\ns-4,,other,term,,,\n"
    )
    classes = "".join(class_row(f"c-{n}", f"A-{n}", term=f"s-{n}") for n in range(1, 6))

    job = brought(bundle(classes=classes, academicSessions=sessions, enrollments=enrollment(1, "c-1")))

    found = [error for _outcome, *errors in told(job, "courses") for error in errors]
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
    assert told(job, "enrollments") == [("error", ("course_not_found", "course_code", message))]


def test_a_class_in_several_terms_is_refused_and_in_one_named_twice_is_not():
    make_term(code="2027S")
    classes = class_row("c-1", "ALG", term="2026F,2027S") + class_row("c-2", "GEO", term="2026F, 2026F")

    job = brought(bundle(classes=classes, enrollments=enrollment(1, "c-1") + enrollment(2, "c-2")))

    message = "classes.csv: This class is in several terms (2026F, 2027S), but a course has one term. Give only one."
    assert told(job, "courses") == [("error", ("several_terms", "term", message)), ("created",)]
    assert seats() == [("u-2", "GEO", "2026F")]


def test_a_course_of_canvas_is_the_one_in_the_zip_and_not_one_of_another_term():
    make_course(code="ALG", term=None)
    make_course(code="ALG", term=make_term(code="2025F"))
    files = {
        "users.csv": "user_id,login_id,first_name,last_name,status\nu-1,a,Ada,Byron,active\n",
        "courses.csv": "course_id,short_name,long_name,term_id,status\nALG,ALG,Algebra,2026F,active\n",
        "enrollments.csv": "course_id,user_id,role,section_id,status\nALG,u-1,student,,active\n",
    }

    brought(zipped_as(files), term="2025F")

    assert seats() == [("u-1", "ALG", "2026F")]


def test_a_course_without_a_term_in_the_zip_is_not_the_one_of_a_term():
    make_course(code="ALG", term=make_term(code="2025F"))
    make_student(student_number="u-1")
    courses = "course_id,long_name,status,is_active\nALG,Algebra,active,perhaps\n"

    job = brought(zipped_as({"courses.csv": courses, "enrollments.csv": "course_id,user_id\nALG,u-1\n"}), term="2025F")

    assert told(job, "courses")[0][0] == "error"
    message = "enrollments.csv: There is no course code:ALG."
    assert told(job, "enrollments") == [("error", ("course_not_found", "course_code", message))]


def test_a_course_of_canvas_with_a_code_of_its_own_is_named_by_its_id():
    make_course(code="7")
    make_student(student_number="u-1")
    files = {
        "courses.csv": "course_id,course_code,name,term\n7,ALG,Algebra,2026F\n8,GEO,Geometry,2026F\n",
        "enrollments.csv": "course_id,user_id,term\n7,u-1,\n8,u-1,2025F\n",
    }

    job = brought(zipped_as(files))

    assert seats() == [("u-1", "ALG", "2026F")]
    message = "enrollments.csv: courses.csv has the course with the course_id 8 in another term: GEO@2026F."
    assert told(job, "enrollments")[1] == ("error", ("course_not_found", "term", message))


def test_sections_of_canvas_lead_to_their_courses():
    for n in range(1, 6):
        make_student(student_number=f"u-{n}")
    files = {
        "courses.csv": "course_id,long_name,term_id,status\nC-1,Algebra,2026F,active\nC-2,Geometry,2026F,active\n",
        "sections.csv": "section_id,course_id,name,status\nS-1,C-1,One,active\nS-2,C-2,Two,active\n"
        "S-3,C-1,Three,active\nS-3,C-2,Three,active\n",
        "enrollments.csv": "course_id,user_id,role,section_id,status\n,u-1,student,S-1,active\n"
        "C-2,u-2,student,S-2,active\nC-1,u-3,student,S-2,active\n,u-4,student,S-9,active\n,u-5,student,S-3,active\n",
    }

    job = brought(zipped_as(files))

    message = "enrollments.csv: sections.csv has the section {} in another course: {}."
    assert told(job, "enrollments") == [
        ("enrolled",),
        ("enrolled",),
        ("error", ("course_ambiguous", "section_id", message.format("S-2", "C-2"))),
        ("error", ("blank", "course_code", "enrollments.csv: This row has only the section S-9. Add its course.")),
        ("error", ("course_ambiguous", "section_id", message.format("S-3", "C-1, C-2"))),
    ]
    assert seats() == [("u-1", "C-1", "2026F"), ("u-2", "C-2", "2026F")]


def test_a_code_without_a_term_is_the_offering_in_the_zip():
    make_course(code="ALG", term=None)
    make_term(code="2027S")
    make_student(student_number="u-1")
    make_student(student_number="u-2")
    courses = "course_code,term,name\nALG,2026F,Algebra\nGEO,2026F,Geometry\nGEO,2027S,Geometry\n"
    enrollments = "student_number,course_code,term\nu-1,ALG,\nu-2,GEO,\nu-2,GEO,2027S\n"

    job = brought(zipped_as({"courses.csv": courses, "enrollments.csv": enrollments}))

    message = "enrollments.csv: GEO is offered in several terms (2026F, 2027S). Add the term."
    assert told(job, "enrollments") == [
        ("enrolled",),
        ("error", ("course_ambiguous", "term", message)),
        ("enrolled",),
    ]
    assert seats() == [("u-1", "ALG", "2026F"), ("u-2", "GEO", "2027S")]


def test_the_term_of_the_option_chooses_among_the_offerings_in_the_zip():
    make_term(code="2027S")
    make_student(student_number="u-1")
    courses = "course_code,term,name\nGEO,2026F,Geometry\nGEO,2027S,Geometry\n"

    brought(
        zipped_as({"courses.csv": courses, "enrollments.csv": "student_number,course_code\nu-1,GEO\n"}), term="2027S"
    )

    assert seats() == [("u-1", "GEO", "2027S")]


def test_enrollments_without_classes_name_courses_of_school_by_code():
    make_course(code="c-1", term=None)

    job = brought(bundle(enrollments=enrollment(1, "c-1") + enrollment(2, "C-1")))

    message = "enrollments.csv: There is no course code:C-1. Did you mean code:c-1?"
    assert told(job, "enrollments") == [("enrolled",), ("error", ("course_not_found", "course_code", message))]


def test_rows_of_teachers_are_skipped_and_rows_to_be_deleted_drop():
    classes = class_row("c-1", "ALG")
    brought(bundle(classes=classes, enrollments=enrollment(1, "c-1") + enrollment(2, "c-1")))
    changed = (
        enrollment(1, "c-1", status="tobedeleted") + enrollment(2, "c-1") + enrollment(3, "no-class", role="teacher")
    )

    job = brought(bundle(classes=classes, enrollments=changed))

    assert (job.state, [outcome for outcome, *_errors in told(job, "enrollments")]) == (
        State.DONE,
        ["dropped", "unchanged", "skipped"],
    )


def test_all_errors_of_a_row_are_told_and_the_failed_rows_come_back_as_they_were_sent():
    enrollments = enrollment(1, "c-9", status="lost") + enrollment(9, "c-1") + enrollment(2, "c-1")

    job = brought(bundle(classes=class_row("c-1", "ALG", status="gone", title="x" * 300), enrollments=enrollments))

    assert [[error[:2] for error in errors] for _outcome, *errors in told(job, "enrollments")][:2] == [
        [("course_not_found", "course_code"), ("invalid_choice", "status")],
        [("student_not_found", "student_number"), ("course_not_found", "course_code")],
    ]
    [part] = [part for part in parts_of(job) if part.name == "enrollments"]
    assert "".join(Report(job, part).failed_as_csv()).replace("\r", "") == ENROLLMENTS + enrollments


def test_the_same_zip_again_changes_nothing_and_it_can_be_taken_back():
    packed = bundle(classes=class_row("A", "B") + class_row("B", "A"), enrollments=enrollment(1, "A"))
    job = brought(packed)
    events = EnrollmentEvent.objects.count()
    packed.seek(0)
    again = imported(packed, on_error=OnError.SKIP, options=LEVEL, again=True)

    assert (again.counts, EnrollmentEvent.objects.count()) == ({"unchanged": 7}, events)
    undo = worked_on(start_undo(job.pk, door=Door.API, request_id="u"))
    assert (undo.counts, seats()) == ({"reversed": 5, "kept": 2}, [])


def test_a_preview_says_what_the_run_says():
    packed = bundle(classes=class_row("A", "B") + class_row("c-1", "X"), enrollments=enrollment(1, "A"))
    preview = imported(packed, on_error=OnError.SKIP, options=LEVEL, review="dry_run")
    packed.seek(0)
    seen = {kind: told(preview, kind) for kind in ("students", "courses", "enrollments")}

    job = brought(packed)

    assert ({kind: told(job, kind) for kind in seen}, job.counts) == (seen, preview.counts)


def test_a_zip_that_a_person_is_erased_from_keeps_the_files_that_its_references_lead_to():
    sessions = SESSIONS + "s-1,,Fall 2026,term,2026-08-01,2026-12-31,2027\n"
    courses = COURSES + "c-1,,Algebra,ALG,u-1\n"
    classes = class_row("k-1", "ALG-1", title="", course="c-1", term="s-1")
    files = {"classes": classes, "courses": courses, "academicSessions": sessions}
    job = brought(bundle(**files, enrollments=enrollment(1, "k-1") + enrollment(2, "k-1")))
    ada = Words({"u-1"}, ())

    rows = [(row.part, row.number, row.outcome) for row in rows_naming(job, ada)]
    black_out(job, ada)

    assert rows == [("students", 2, "created"), ("enrollments", 2, "enrolled"), ("", 2, "")]
    job = Import.objects.get(pk=job.pk)
    names = [table.name for table in contents_of_zip(open_kept(job), job.size).tables]
    assert names == ["users.csv", "enrollments.csv", "courses.csv", "academicSessions.csv", "classes.csv"]


def test_classes_that_are_sent_alone_are_refused_too_where_two_would_be_one_course():
    text = CLASSES + class_row("c-1", "ALG") + class_row("c-2", "ALG") + class_row("c-3", "GEO")

    job = imported(io.BytesIO(text.encode()), kind="courses", on_error=OnError.SKIP, options=LEVEL)

    assert (job.counts, list(Course.objects.values_list("code", flat=True))) == ({"error": 2, "created": 1}, ["GEO"])


def test_the_command_resolves_references_as_the_api_does(tmp_path):
    path = tmp_path / "oneroster.zip"
    classes = class_row("A", "B") + class_row("B", "A")
    path.write_bytes(bundle(classes=classes, enrollments=enrollment(1, "A") + enrollment(2, "B")).read())

    call_command("import_zip", str(path), "--level", "introductory")

    assert seats() == [("u-1", "B", "2026F"), ("u-2", "A", "2026F")]
