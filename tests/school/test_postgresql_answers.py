"""Answers of a server, or of a pooler in front of it, that do not belong to the statement."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.core.signals import request_started
from django.db import OperationalError, connection

from students.api import student_courses
from students.models import StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server")

READY = b"Z\0\0\0\5I"


def message(kind: bytes, content: bytes) -> bytes:
    """Return a message of the PostgreSQL protocol."""
    return kind + struct.pack("!i", len(content) + 4) + content


def failure(state: str) -> bytes:
    return message(b"E", f"SFATAL\0C{state}\0The server ends\0\0".encode())


LOGGED_IN = b"".join(
    [
        message(b"R", struct.pack("!i", 0)),
        *(
            message(b"S", f"{name}\0{value}\0".encode())
            for name, value in {
                "server_version": "15.0",
                "client_encoding": "UTF8",
                "standard_conforming_strings": "on",
                "TimeZone": "UTC",
            }.items()
        ),
        READY,
    ]
)


@pytest.fixture
def ending_server() -> Iterator[int]:
    """The port of a server that accepts a client, and answers its first BEGIN by two reasons why it ends."""

    def serve() -> None:
        client, _address = listening.accept()
        with client:
            [length] = struct.unpack("!i", client.recv(4))
            client.recv(length)
            client.sendall(LOGGED_IN)
            client.recv(1000)
            client.sendall(failure("57P01") + failure("08P01") + READY)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def test_more_than_one_answer_to_a_statement_is_a_lost_connection(ending_server):
    copy = connection.copy()
    options = {**copy.settings_dict["OPTIONS"], "sslmode": "disable", "gssencmode": "disable"}
    copy.settings_dict.update({"HOST": "127.0.0.1", "PORT": ending_server, "OPTIONS": options})
    with closing(copy.get_new_connection(copy.get_connection_params())) as outdated:
        copy.connection = outdated
        with pytest.raises(OperationalError, match="received 2 results from command"), copy.wrap_database_errors:
            outdated.execute("SELECT 1")

        assert outdated.is_outdated
        copy.close_if_unusable_or_obsolete()
        assert copy.connection is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("is_before_commit", "detail"),
    [
        (True, "The database is busy or unavailable. The request was not applied. Try again."),
        (
            False,
            "The connection to the database was lost. The request may have been applied. Check the result before you "
            "send the request again.",
        ),
    ],
)
def test_a_connection_lost_after_the_commit_is_not_reported_as_nothing_done(api, monkeypatch, is_before_commit, detail):
    student, course = make_student(), make_course()
    name = "enroll_from_request" if is_before_commit else "json_response"
    step = getattr(student_courses, name)

    def lose_connection(*arguments, **options):
        connection.connection.pgconn.finish()
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return step(*arguments, **options)

    monkeypatch.setattr(student_courses, name, lose_connection)
    request_started.send(None)
    answer = api.post(f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk})
    connection.close()

    assert (answer.status_code, answer.json()["detail"]) == (503, detail)
    assert StudentCourse.objects.filter(student=student, course=course).exists() is not is_before_commit
