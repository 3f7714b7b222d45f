"""Texts of the OpenAPI document for authors of clients: of tags, operations (by their ids) and schemas (by name)."""

TAGS = {
    "changes": "A feed of every change of enrollments, students, courses and terms, without gaps.",
    "courses": "Courses: offerings of a course code in a term, with their seats, and their rosters.",
    "enrollments": "Enrollments of all students in one list, their events, and batches of commands.",
    "exports": "Files for other systems.",
    "grades": "The grades of completions: which of them pass, and their order.",
    "imports": "CSV files and zips: upload, preview, approval, report, failed rows and undo.",
    "students": "Students, and the enrollments of one student: enroll, complete and drop.",
    "terms": "Terms with their dates and drop deadlines.",
    "webhooks": "Changes pushed to registered URLs.",
}

_REPLACE = (
    "Replaces all fields. A natural key that does not exist is created: 201."
    " With `If-Match`, a changed resource is not overwritten: 412."
)
_BATCH = "By natural keys. 200: all applied. 207: some. 422: none."
_UPDATE = "Changes the fields that the body has. With `If-Match`, a changed resource is not overwritten: 412."
_SEATS = " A seat that becomes free by the change goes to the next waitlisted student in the same transaction."

# Maps an operation id to the summary and the description of the operation.
TEXTS: dict[str, tuple[str, str]] = {
    "changes_list": (
        "Read the change feed",
        "Returns the changes after a cursor and the next cursor. Store the cursor and send it as `after` the next"
        " time. With `wait`, a request for which there are no changes yet is held open for up to that many seconds.",
    ),
    "courses_list": ("List courses", "Returns the courses with the numbers of their seats, page by page."),
    "courses_batch": ("Create or replace courses", _BATCH),
    "courses_create": ("Create a course", "A code is unique within a term, and among the courses without a term."),
    "courses_retrieve": ("Get a course", "Returns a course with the numbers of its seats."),
    "courses_update": ("Replace a course", _REPLACE + _SEATS),
    "courses_partial_update": ("Update a course", _UPDATE + _SEATS),
    "courses_destroy": (
        "Delete a course",
        "A course that has or had enrollments is kept: 409 `has_history`. Set `is_active` to false instead.",
    ),
    "courses_cancel_create": (
        "Cancel a course",
        "Drops its open enrollments. Requires `enrollments:write`, too.",
    ),
    "courses_cancel_undo_create": (
        "Undo a cancellation",
        "Restores its enrollments, or nothing: 409.",
    ),
    "courses_students_list": (
        "List a course's students",
        "Returns the enrollments of a course, page by page. With `Accept: text/csv`, the answer is one file with all"
        " rows.",
    ),
    "enrollments_list": (
        "List enrollments",
        "Returns the open enrollments of all students in all courses, page by page. `status=all` includes those that"
        " have ended.",
    ),
    "enrollments_retrieve": ("Get an enrollment", "Returns one enrollment by its id."),
    "enrollments_events_list": (
        "List an enrollment's events",
        "Returns each change of one enrollment from its beginning: the time, the actor, the channel and the reason.",
    ),
    "enrollments_batch": (
        "Enroll, drop and complete in a batch",
        "Runs up to 1,000 commands in their order. 200: all are applied. 207: some are applied. 422: none is applied."
        " With `atomic`, one failed item undoes the whole batch. With `dry_run`, nothing is applied.",
    ),
    "exports_oneroster_retrieve": (
        "Export OneRoster files",
        "Returns a zip with the CSV files of OneRoster 1.1 or 1.2.",
    ),
    "imports_list": ("List imports", "Returns the imports, the newest first, with their states and counts."),
    "imports_create": (
        "Upload a file",
        "Takes the file as a form field, or as the body with the options in the query. A worker processes the file:"
        " repeat GET on the import until its state is `needs_review` or final.",
    ),
    "imports_retrieve": ("Get an import", "Returns the state, the options and the counts of an import."),
    "imports_approve_create": (
        "Approve an import",
        "Applies an import in the state `needs_review`. If the result would differ from the reviewed one, the import"
        " is not applied and needs another review.",
    ),
    "imports_cancel_create": (
        "Cancel an import",
        "200: the import has stopped. 202: it stops after the current rows. Rows that were applied before remain.",
    ),
    "imports_failed_rows_list": (
        "Get the failed rows",
        "Returns the rows with errors. The CSV form has the rows exactly as they were sent, to correct and"
        " upload again.",
    ),
    "imports_report_list": (
        "Get the report",
        "Returns each row with its outcome and its errors. While the import runs, the report ends at the current row.",
    ),
    "imports_undo_create": (
        "Undo an import",
        "Restores the state before the import, row by row. Rows that were changed since are kept and reported. Returns"
        " the new import that does the undo.",
    ),
    "grades_list": ("List grades", "Returns the table of grades. While it is empty, a completion may have any grade."),
    "grades_create": ("Create a grade", "Code and rank are unique. One grade of the table must pass."),
    "grades_retrieve": ("Get a grade", "Returns one grade by id or by code."),
    "grades_partial_update": ("Update a grade", _UPDATE),
    "grades_destroy": ("Delete a grade", "A grade that prerequisites require is kept: 409 `grade_in_use`."),
    "students_list": ("List students", "Returns the students, page by page."),
    "students_batch": ("Create or replace students", _BATCH),
    "students_create": ("Create a student", "A student number is unique; an email address is unique in any case."),
    "students_retrieve": ("Get a student", "Returns one student by id or by student number."),
    "students_update": ("Replace a student", _REPLACE),
    "students_partial_update": ("Update a student", _UPDATE),
    "students_destroy": (
        "Delete a student",
        "A student who has or had enrollments is kept: 409 `has_history`. Set `is_active` to false instead.",
    ),
    "students_courses_list": ("List a student's courses", "Returns the open enrollments of a student, page by page."),
    "students_courses_create": (
        "Enroll a student",
        "201: the student is enrolled, or waitlisted with `on_full: waitlist`. 200: the enrollment was open already,"
        " or a waitlisted one got a seat by a waiver. A retry is safe. 409 names every reason of a refusal.",
    ),
    "students_courses_retrieve": (
        "Get a student's enrollment in a course",
        "Returns the newest enrollment of the student in the course, also when it has ended.",
    ),
    "students_courses_partial_update": (
        "Complete a course",
        "Completes the enrollment, with a grade or without one, or corrects the grade of a completed enrollment. An"
        " enrollment that is sent back unchanged changes nothing. `dry_run`: the enrollment as it would be, and the"
        " number of open enrollments that lose a prerequisite by the grade.",
    ),
    "students_courses_destroy": (
        "Drop a course",
        "Ends the enrollment: `dropped` until the drop deadline of the term, `withdrawn` after it. The enrollment is"
        " kept as history, and a free seat goes to the next waitlisted student.",
    ),
    "students_holds_list": ("List a student's holds", "Returns the open holds."),
    "students_holds_create": ("Place a hold", "200: the student has an equal hold."),
    "students_holds_retrieve": ("Get a hold", "Returns a hold, also a released one."),
    "students_holds_destroy": ("Release a hold", "The hold is kept as history. Waitlisted students may get a seat."),
    "terms_list": ("List terms", "Returns the terms, page by page."),
    "terms_batch": ("Create or replace terms", _BATCH),
    "terms_create": ("Create a term", "A term code is unique. The drop deadline lies within the dates of the term."),
    "terms_retrieve": ("Get a term", "Returns one term by id or by code."),
    "terms_update": ("Replace a term", _REPLACE),
    "terms_partial_update": ("Update a term", _UPDATE),
    "terms_destroy": ("Delete a term", "A term that has courses is kept: 409 `has_history`."),
    "webhooks_list": ("List webhooks", "A client sees its own ones."),
    "webhooks_create": (
        "Register a webhook",
        "It gets the changes from now on. Requires the scopes to read them. Only this response has the secret.",
    ),
    "webhooks_retrieve": ("Get a webhook", "Returns the state of the delivery, too."),
    "webhooks_partial_update": ("Update a webhook", _UPDATE + " `state` pauses or resumes the delivery."),
    "webhooks_destroy": ("Delete a webhook", "Its attempts are deleted, too."),
    "webhooks_rotate_create": (
        "Rotate the secret",
        "For 24 hours, messages have two signatures: with the new secret and with the previous one.",
    ),
    "webhooks_ping_create": ("Request a ping", "A worker sends a message of the type `ping`, also if paused."),
    "webhooks_replay_create": ("Replay", "Delivers the changes after a cursor of the change feed again."),
    "webhooks_attempts_list": ("List attempts", "Returns the attempts to deliver, the newest first."),
}

# Maps the name of a schema, without ``Request``, ``InPart`` and the like, to its description.
SCHEMAS: dict[str, str] = {
    "Approval": "Options of an approval.",
    "BatchOutcome": "One outcome for each item, in the order of the items.",
    "BatchProblem": "A problem, with the outcomes of the items if they were processed.",
    "Batch": "Up to 1,000 commands, run in their order.",
    "CancellationResult": "Numbers of enrollments.",
    "Change": "An event of an enrollment, with the student and the course. `type` is there if `kinds` was given.",
    "Changes": "A page of the change feed.",
    "Complete": "Completes an enrollment or corrects its grade. Fields that are only read may come back unchanged.",
    "CompleteItem": "Completes the enrollment of a student in a course.",
    "Course": "An offering of a course in a term.",
    "CourseCancellation": "The reason of a cancellation.",
    "CourseSummary": "The course of an enrollment, in short form.",
    "DropItem": "Drops a student from a course.",
    "EnrollItem": "Enrolls a student in a course.",
    "Enroll": "The course, by id or by code and term, and the options of the enrollment.",
    "Enrollment": "One stay of a student in a course, from the enrollment to its end.",
    "EnrollmentEvent": "One change of an enrollment.",
    "Grade": "A grade. A higher rank is better.",
    "Hold": "A hold on a student. `term` null: for all courses.",
    "Import": "An uploaded file with its options, its state and its counts.",
    "ImportProblem": "A problem of the file as a whole.",
    "ImportWarning": "A part of the file that was ignored.",
    "ItemOutcome": "The outcome of one item of a batch.",
    "ObjectChange": "A change of a student, a course or a term: `created`, `changed`, `deleted` or `erased`.",
    "Problem": "A problem as RFC 9457 defines it.",
    "ProblemReason": "One reason of a refusal, or one error of a field.",
    "ReportError": "One error of a row.",
    "ReportRow": "A row as it was sent, with its outcome.",
    "RowOutcome": "The outcome of one item; `id` is the id of the row.",
    "RowOutcomes": "One outcome for each item, in their order.",
    "Seats": "The numbers of seats of a course.",
    "CourseBatch": "Up to 1,000 courses.",
    "StudentBatch": "Up to 1,000 students.",
    "TermBatch": "Up to 1,000 terms.",
    "Student": "A student.",
    "StudentSummary": "The student of an enrollment, in short form.",
    "Term": "A term.",
    "Undo": "Options of an undo.",
    "NewWebhook": "A new webhook with its secret.",
    "Ping": "The id of a message.",
    "Replay": "The start of a replay.",
    "Secret": "A new secret.",
    "Webhook": "A URL to which changes are pushed.",
    "WebhookAttempt": "An attempt to deliver a message.",
    "Warning": "A state of the resource that is allowed and deserves attention.",
}
