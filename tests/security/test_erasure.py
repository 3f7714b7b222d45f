"""After an erasure, neither the tables nor the files of the database have the person, in whatever spelling."""

import io
import json
import sqlite3
import unicodedata
import zipfile
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection

from school.validators import folded
from tests.postgres import find_binaries, server_at_hand
from tests.serving import environment_of, manage

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
from django_tasks_db.models import DBTaskResult
from bulk.models import Door
from bulk.jobs.lifecycle import Order, receive
from courses.models import Course
from school.models import CachedValue, KeptAnswer
from students.models import Student
from tests.bulk.work import imported, worked_on
from django.db import connection
from tests.security.test_erasure import EMAIL, FAMILY, GIVEN, NUMBER, OLD_NUMBER, FILES, packed

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
    order = Order(kind, Door.API, "r", review="needed", on_error="skip", file_name=f"of {NUMBER}.csv", again=True)
    worked_on(receive(io.BytesIO(content), order))
worked_on(receive(io.BytesIO(packed()), Order("zip", Door.API, "r", review="needed")))
staff = User.objects.create_user("staff")
name = str(student)
about = ContentType.objects.get_for_model(User)
LogEntry.objects.create(user=staff, content_type=about, object_id="9", object_repr=name, action_flag=CHANGE,
                        change_message=json.dumps([{"changed": {"name": "enrollment", "object": name}}]))
session = SessionStore()
session.update({"_auth_user_id": str(staff.pk), "_messages": json.dumps([["__json_message", 0, 25, name, ""]]),
                "stayed": {"refused": [[1, 2, "", [f"There is no student number:{NUMBER}."]]]}})
session.save()
now = timezone.now()
KeptAnswer.objects.create(user=staff, key="a", fingerprint="", status=201, body=json.dumps({"n": NUMBER}), at=now)
KeptAnswer.objects.create(user=staff, key=f"for {EMAIL}", fingerprint="", status=201, body="{}", at=now)
CachedValue.objects.create(key="login", value=json.dumps(EMAIL), expires_at=now)
AccessAttempt.objects.create(username=EMAIL.upper(), ip_address="192.0.2.1", failures_since_start=1,
                             get_data="", post_data="", http_accept="", path_info="/", user_agent="")
DBTaskResult.objects.create(status="FAILED", finished_at=now, args_kwargs={"args": [], "kwargs": {}}, run_after=now,
                            task_path="x", backend_name="default", exception_class_path="x",
                            traceback=f"Key (student_number)=({NUMBER}) already exists.")
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
        # Of another kind it would have other separators; of none it has other ones too.
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


def packed():
    """A zip that names the person in everything that a zip has."""
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
    """Yield the environment of a database of its own, and a function that returns the bytes of its files."""
    if connection.vendor == "sqlite":
        folder.mkdir(exist_ok=True)
        environment = environment_of(f"sqlite:///{folder}/school.sqlite3")
        manage(environment, "migrate", "--verbosity=0")
        # Another process has the database open, as a server has: the last one to close it removes its log.
        with closing(sqlite3.connect(folder / "school.sqlite3")) as other:
            other.execute("SELECT name FROM sqlite_master").fetchall()
            yield environment, lambda: contents(folder)
        return
    binaries = find_binaries()
    assert binaries is not None
    with server_at_hand(binaries) as server:
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


def found_in(text):
    alike = folded(text)
    escapes = {word: json.dumps(folded(word))[1:-1] for word in CANARIES}
    return [word for word in CANARIES if folded(word) in alike or escapes[word] in alike]


def test_no_table_and_no_file_of_the_database_has_a_person_who_was_erased(tmp_path):
    with database(tmp_path / "database") as (environment, files):
        shell(environment, SEED)
        before, raw_before = shell(environment, LOOK), files()
        said = manage(environment, "erase_student", NUMBER, "--reason=case 17", "--yes")
        after, raw_after = shell(environment, LOOK), files()

    assert (found_in(before), [word for word in CANARIES if word.encode() in raw_before]) == ([*CANARIES], [*CANARIES])
    assert found_in(after) == [], [line for line in after.splitlines() if found_in(line)]
    assert [word for word in CANARIES if word.encode() in raw_after or word.lower().encode() in raw_after] == []
    assert said.splitlines()[0] == "The personal data was erased. The student is now called erased-1."
