"""After an erasure, no table and no file of the database contains the student, in any spelling."""

import io
import json
import sqlite3
import unicodedata
import zipfile
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection

from tests.support.databases import copy_sqlite
from tests.support.postgres import find_binaries, running_server
from tests.support.serving import environment_of, manage

NUMBER, OLD_NUMBER, GIVEN, FAMILY, EMAIL = "Q7X-É9W", "K3V-Ü8J", "Zvqira", "Wyßomla", "zq.wx7@vkj.example"
CANARIES = (NUMBER, OLD_NUMBER, GIVEN, FAMILY, EMAIL)

SEED = """
import io, json, zipfile
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from axes.models import AccessAttempt
from bulk.models import ImportChannel
from bulk.jobs.submission import ImportRequest, submit
from courses.models import Course
from school.models import CachedValue, KeptAnswer
from students.models import Student
from tests.support.imports import imported, worked_on
from django.db import connection
from tests.security.test_erasure import EMAIL, FAMILY, GIVEN, NUMBER, OLD_NUMBER, FILES, zip_of_files

if connection.vendor == "sqlite":  # as in a database that an earlier version has written
    connection.cursor().execute("PRAGMA secure_delete=OFF")
imported(f"sep=;\\nstudent_number;given_name;family_name;email\\n{OLD_NUMBER};{GIVEN};{FAMILY};{EMAIL}\\n",
         kind="students", file_name=f"{GIVEN}.csv")
student = Student.objects.get()
student.student_number = NUMBER
student._change_reason = f"{OLD_NUMBER} was wrong"
student.save()
course = Course.objects.create(code="ERASED-1", name="A course", level="introductory")
course._change_reason = f"a seat for {NUMBER}"
course.save()
for kind, content in FILES:
    name = f"of {NUMBER}.csv"
    order = ImportRequest(kind, ImportChannel.API, "r", review="needed", on_error="skip", file_name=name, again=True)
    worked_on(submit(io.BytesIO(content), order))
worked_on(submit(io.BytesIO(zip_of_files()), ImportRequest("zip", ImportChannel.API, "r", review="needed")))
staff = User.objects.create_user("staff")
name = str(student)
about = ContentType.objects.get_for_model(User)
LogEntry.objects.create(user=staff, content_type=about, object_id="9", object_repr=name, action_flag=CHANGE,
                        change_message=json.dumps([{"changed": {"name": "enrollment", "object": name}}]))
session = SessionStore()
session.update({"_auth_user_id": str(staff.pk), "_messages": json.dumps([["__json_message", 0, 25, name, ""]]),
                "unchanged_enrollments": {"refused": [[1, 2, "", [f"There is no student number:{NUMBER}."]]]}})
session.save()
now = timezone.now()
KeptAnswer.objects.create(user=staff, key="a", fingerprint="", status=201, body=json.dumps({"n": NUMBER}), at=now)
KeptAnswer.objects.create(user=staff, key=f"for {EMAIL}", fingerprint="", status=201, body="{}", at=now)
CachedValue.objects.create(key="login", value=json.dumps(EMAIL), expires_at=now)
AccessAttempt.objects.create(username=EMAIL.upper(), ip_address="192.0.2.1", failures_since_start=1,
                             get_data="", post_data="", http_accept="", path_info="/", user_agent="")
"""

LOOK = """
import json, zlib
from django.apps import apps
from django.contrib.sessions.models import Session
from bulk.models import FileChunk, OutcomePage
for model in apps.get_models(include_auto_created=True):
    for row in model._default_manager.values_list():
        print(model._meta.label, *(value for value in row if not isinstance(value, (bytes, memoryview))))
for model in (FileChunk, OutcomePage):
    for content in model.objects.values_list("content", flat=True):
        content = zlib.decompress(content)
        print(content.decode("utf-8", "replace"), content.decode("utf-16", "replace"))
        if model is OutcomePage:
            print(json.loads(content))
        elif content[:2] == b"PK":
            import io, zipfile
            archive = zipfile.ZipFile(io.BytesIO(content))
            print(archive.comment, *(info.filename for info in archive.infolist()))
            print(*(archive.read(info).decode("utf-8", "replace") for info in archive.infolist()))
for session in Session.objects.all():
    print("session", session.get_decoded())
"""

HEADER = "student_number,course_code,reason\n"
DECOMPOSED, WIDE = unicodedata.normalize("NFD", NUMBER), "Ｑ７Ｘ－Ｅ\u0301９Ｗ"
FILES = [
    ("enrollments", text.encode())
    for text in (
        f"{HEADER}{NUMBER},A,\n",
        f"{HEADER}{DECOMPOSED},A,\n",
        f"{HEADER}{WIDE},A,\n",
        f"{HEADER}{NUMBER.lower()},A,\n",
        f"{HEADER}number:{NUMBER},A,\n",
        f"{HEADER}Q7X\u2011É9\u200bW,A,\n",
        f"{HEADER}S-2,A,instead of {NUMBER}\n",
        f"{HEADER}S-2,A,{OLD_NUMBER};{GIVEN}\n",
        # A file of an unknown kind may have any separator.
        f"student_number,course_code,given_name;family_name;email\n{NUMBER},A,{GIVEN};{FAMILY};{EMAIL}\n",
        f"{NUMBER}|{GIVEN}|{FAMILY}|{EMAIL}\nS-2|A||\n",
        f'student_number,course_code\n{NUMBER},"A\n',
        f'<td>{EMAIL.replace("@", "&#64;")}</td>{{"n": {json.dumps(NUMBER)}, "given": "{GIVEN}"}}\n',
    )
]
FILES += [
    ("enrollments", f"{HEADER}{NUMBER},A,\n".encode("utf-16")),
    ("enrollments", f"{HEADER}{NUMBER},A,\n".encode("latin-1")),
    ("zip", f"{NUMBER} is in no zip".encode()),
]


def zip_of_files():
    """Return a zip that contains the identifiers in every part of a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.comment = NUMBER.encode()
        archive.writestr(f"of {GIVEN}/students.csv", f"student_number,given_name,family_name\n{NUMBER},{GIVEN},\n")
        archive.writestr("teachers.csv", f"{NUMBER},{GIVEN},\n")
        archive.writestr("notes.txt", f"{NUMBER},{GIVEN},\n")
        archive.writestr("table.xlsx", b"PK\x03\x04\xff\xfe" + NUMBER.encode())
        archive.writestr("__MACOSX/._students.csv", b"\x00\x05\x16\x07" + EMAIL.encode())
    return made.getvalue()


@contextmanager
def database(folder):
    """Yield the environment of a separate database, and a function that returns the bytes of its files."""
    if connection.vendor == "sqlite":
        folder.mkdir(exist_ok=True)
        environment = environment_of(f"sqlite:///{folder}/school.sqlite3")
        copy_sqlite(environment)
        # Another process keeps the database open, like a server: the last process to close it removes the log.
        with closing(sqlite3.connect(folder / "school.sqlite3")) as other:
            other.execute("SELECT name FROM sqlite_master").fetchall()
            yield environment, lambda: contents(folder)
        return
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries) as server:
        environment = environment_of(server.url)
        manage(environment, "migrate", "--verbosity=0")

        def files():
            shell(environment, "from django.db import connection; connection.cursor().execute('CHECKPOINT')")
            return contents(server.folder / "data/base")

        yield environment, files


def contents(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def shell(environment, script):
    return manage(environment, "shell", "--no-imports", "-c", script)


def canaries_in(text):
    alike = in_one_form(text)
    escapes = {word: json.dumps(in_one_form(word))[1:-1] for word in CANARIES}
    return [word for word in CANARIES if in_one_form(word) in alike or escapes[word] in alike]


def in_one_form(text):
    """Return a text in the same form as the texts that look like it, without the code that is tested."""
    return unicodedata.normalize("NFKC", text).replace("\u2010", "-").replace("\u200b", "").lower()


def test_an_erased_student_is_in_no_table_and_no_database_file(tmp_path):
    with database(tmp_path / "database") as (environment, files):
        shell(environment, SEED)
        # The statistics of PostgreSQL contain values of the rows.
        shell(environment, "from django.db import connection; connection.cursor().execute('ANALYZE')")
        before, raw_before = shell(environment, LOOK), files()
        said = manage(environment, "erase_student", NUMBER, "--reason=case 17", "--yes")
        after, raw_after = shell(environment, LOOK), files()

    assert (canaries_in(before), [word for word in CANARIES if word.encode() in raw_before]) == (
        [*CANARIES],
        [*CANARIES],
    )
    assert canaries_in(after) == [], [line for line in after.splitlines() if canaries_in(line)]
    assert [word for word in CANARIES if word.encode() in raw_after or word.lower().encode() in raw_after] == []
    assert said.splitlines()[0] == "The personal data was erased. The student is now called erased-1."
