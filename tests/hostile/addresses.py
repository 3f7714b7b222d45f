"""Hostile paths, queries and methods."""

from itertools import product

from tests.hostile.cases import HUGE, Case

# The allowed methods of each path; below, the error code of each path for an unknown key.
LISTS = ("students", "courses", "terms", "enrollments", "imports")
NESTED_LISTS = ("students/{student}/courses", "courses/{course}/students", "enrollments/{enrollment}/events")
METHODS = {
    "students": "GET POST",
    "students/batch": "POST",
    "courses/batch": "POST",
    "terms/batch": "POST",
    "students/{student}": "GET PUT PATCH DELETE",
    "students/{student}/courses": "GET POST",
    "students/{student}/courses/{course}": "GET PATCH DELETE",
    "courses": "GET POST",
    "courses/{course}": "GET PUT PATCH DELETE",
    "courses/{course}/cancel": "POST",
    "courses/{course}/cancel/undo": "POST",
    "courses/{course}/students": "GET",
    "terms": "GET POST",
    "terms/{term}": "GET PUT PATCH DELETE",
    "enrollments": "GET",
    "enrollments/batch": "POST",
    "enrollments/{enrollment}": "GET",
    "enrollments/{enrollment}/events": "GET",
    "changes": "GET",
    "imports": "GET POST",
    "imports/{job}": "GET",
    "imports/{job}/report": "GET",
    "imports/{job}/failed-rows": "GET",
    "imports/{job}/approve": "POST",
    "imports/{job}/cancel": "POST",
    "imports/{job}/undo": "POST",
}
KEYED = {
    "students/%s": "student_not_found",
    "students/%s/courses": "student_not_found",
    "students/{student}/courses/%s": "course_not_found",
    "courses/%s": "course_not_found",
    "courses/%s/students": "course_not_found",
    "terms/%s": "term_not_found",
    "enrollments/%s": "not_found",
    "enrollments/%s/events": "not_found",
    "imports/%s": "not_found",
    "imports/%s/report": "not_found",
}
NO_IDS = {
    **HUGE,
    "negative": "-1",
    "zero": "0",
    "a fraction": "1.5",
    "an exponent": "1e3",
    "another script's digit": "%D9%A3",
    "a sign": "%2B1",
    "a blank": "%20",
}
NO_TEXT = {"NUL": "%00", "an unpaired surrogate": "%ED%A0%80", "bad UTF-8": "%FF", "an overlong NUL": "%C0%80"}
TAMPERED = {
    "empty": "",
    "no cursor": "x",
    "a number": str(2**63),
    "5,000 characters": "a" * 5_000,
    "colons": ":::",
    "another script": "%D9%A3",
}


def path_cases() -> list[Case]:
    ids = [
        Case(f"{name} as an id", "GET", f"/api/v1/{path % text}", 404, code)
        for (path, code), (name, text) in product(KEYED.items(), NO_IDS.items())
    ]
    texts = [
        Case(f"{name} in a path", "GET", f"/api/v1/{path % key}{text}", 404, "not_found" if text == "%00" else code)
        for (path, code), key, (name, text) in product(
            [("students/%s", "student_not_found"), ("courses/%s", "course_not_found"), ("terms/%s", "term_not_found")],
            ["", "code:A", "number:A"],
            NO_TEXT.items(),
        )
    ]
    odd = [
        Case("a key of 5,000 characters", "GET", f"/api/v1/students/number:{'a' * 5_000}", 404, "student_not_found"),
        Case("an empty key", "GET", "/api/v1/students/number:", 404, "student_not_found"),
        Case("only an at sign", "GET", "/api/v1/courses/code:@", 404, "course_not_found"),
        Case("many at signs", "GET", "/api/v1/courses/code:@@@@", 404, "course_not_found"),
        Case("a step up", "GET", "/api/v1/students/..%2F..%2Fadmin", 404, "not_found"),
        Case("two slashes", "GET", "/api/v1//students", 404, "not_found"),
        Case("a slash in a key", "GET", "/api/v1/students/number:A%2FB", 404, "not_found"),
        Case("a suffix", "GET", "/api/v1/students.json", 404, "not_found"),
        Case("another version", "GET", "/api/v2/students", 404, "not_found"),
        Case("a line break", "GET", "/api/v1/students/%0D%0ASet-Cookie:a", 404, "student_not_found"),
        Case("a percent sign alone", "GET", "/api/v1/students/%", 404, "student_not_found"),
        Case("SQL", "GET", "/api/v1/students/1'%20OR%20'1'='1", 404, "student_not_found"),
    ]
    slashes = [
        Case("a slash at the end", "GET", f"/api/v1/{path}{slash}", 200, None)
        for path, slash in product(["students", "courses/{course}", "changes"], ["/", "//", "///"])
    ]
    return [*ids, *texts, *odd, *slashes]


def query_cases() -> list[Case]:
    every_list = [*LISTS, *NESTED_LISTS]
    sizes = [
        Case(f"page_size {size[:20]}", "GET", f"/api/v1/{path}?page_size={size}", 400, "invalid")
        for path, size in product(every_list, ["-1", "0", "501", "9" * 5_000, "1.0", "%D9%A3", "1e2", "x", ""])
    ]
    cursors = [
        Case(f"a cursor, {name}", "GET", f"/api/v1/{path}?cursor={cursor}", 400, "invalid")
        for path, (name, cursor) in product(
            every_list, {**TAMPERED, "another list's": "{foreign}", "forged": "{forged}"}.items()
        )
    ]
    texts = [
        Case(f"{name} in a {what}", "GET", f"/api/v1/{path}?{what}={text}", 400, "bad_request")
        for path, what, (name, text) in product(["students", "enrollments"], ["search", "x", "cursor"], NO_TEXT.items())
    ]
    unknown = [
        Case("a lookup that is not offered", "GET", f"/api/v1/{path}?{query}", 400, "invalid")
        for path, query in product(
            every_list,
            ["id__gt=1", "student__user__password=1", "status__in=enrolled", "format=xml", "page=2", "limit=1"],
        )
    ]
    ids = [
        Case(f"{name} as a filter", "GET", f"/api/v1/enrollments?{what}={text}", *expected)
        for what in ("student", "course")
        for name, text, expected in [
            ("2^31", str(2**31), (200, None)),  # no row has this id, so the list is empty
            ("2^63", str(2**63), (200, None)),
            *((name, text, (400, "invalid")) for name, text in NO_IDS.items() if name not in ("2^31", "2^63")),
        ]
    ]
    dates = [
        Case(f"the day {day}", "GET", f"/api/v1/{path}={day}", 400, "invalid")
        for path, day in product(
            ["terms?running_on", "students?updated_since", "courses?updated_since", "enrollments?updated_since"],
            ["0000-01-01", "10000-01-01", "2026-02-30", "now", "9" * 30, "-1"],
        )
    ]
    values = [
        Case("a capacity", "GET", f"/api/v1/courses?capacity={text}", 400, "invalid")
        for text in ["-1", "2147483648", str(10**30), "9" * 5_000, "NaN", "Infinity", "1e400", "1.5", "x"]
    ]
    others = [
        Case("a search text that is too long", "GET", f"/api/v1/students?search={'a' * 201}", 400, "invalid"),
        Case("search for many words", "GET", f"/api/v1/students?search={'a+' * 11}", 400, "invalid"),
        Case("an order by another table", "GET", "/api/v1/students?ordering=courses__id", 400, "invalid"),
        Case("two minus signs", "GET", "/api/v1/students?ordering=--id", 400, "invalid"),
        Case("a random order", "GET", "/api/v1/students?ordering=?", 400, "invalid"),
        Case("unknown fields", "GET", "/api/v1/students?fields=password", 400, "invalid"),
        Case("an unknown expansion", "GET", "/api/v1/enrollments?expand=student.user", 400, "invalid"),
        Case(
            "1,000 parameters", "GET", "/api/v1/students?" + "&".join(f"a{n}=1" for n in range(1_000)), 400, "invalid"
        ),
        Case("an array", "GET", "/api/v1/students?is_active[]=true", 400, "invalid"),
        Case("an invalid boolean", "GET", "/api/v1/students?is_active=yes", 400, "invalid"),
        Case("an invalid status", "GET", "/api/v1/enrollments?status=enrolled,x", 400, "invalid"),
        Case("a change feed with a forged cursor", "GET", "/api/v1/changes?after=1:x", 400, "invalid"),
        Case("a change feed with the cursor 2^63", "GET", f"/api/v1/changes?after={2**63}", 400, "invalid"),
        Case("a change feed of an unknown kind", "GET", "/api/v1/changes?kinds=grades", 400, "invalid"),
        Case("a change feed of 5,000 kinds", "GET", f"/api/v1/changes?kinds={'terms,' * 5_000}", 400, "invalid"),
        Case(
            "a change feed with a forged cursor of kinds",
            "GET",
            "/api/v1/changes?kinds=terms&after=t1:x",
            400,
            "invalid",
        ),
        Case("a change feed with too long a wait", "GET", "/api/v1/changes?wait=21", 400, "invalid"),
        Case("a change feed with a negative limit", "GET", "/api/v1/changes?limit=-1", 400, "invalid"),
        Case(
            "a change feed with a limit of 5,000 digits", "GET", f"/api/v1/changes?limit={'9' * 5_000}", 400, "invalid"
        ),
        Case("a change feed with a limit in other digits", "GET", "/api/v1/changes?limit=%D9%A3x", 400, "invalid"),
        Case("an unknown part of a report", "GET", "/api/v1/imports/{job}/report?part=x", 400, "invalid"),
        Case("an unknown state of an import", "GET", "/api/v1/imports?state=x", 400, "invalid"),
    ]
    return [*sizes, *cursors, *texts, *unknown, *ids, *dates, *values, *others]


def method_cases() -> list[Case]:
    return [
        Case("a wrong method", method, f"/api/v1/{path}", 405, "method_not_allowed", b"{}")
        for path, right in METHODS.items()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "NONSENSE")
        if method not in right.split()
    ]
