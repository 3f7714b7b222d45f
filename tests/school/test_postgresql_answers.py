"""Answers of a server, or of a pooler in front of it, that do not belong to the statement."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.db import OperationalError, connection

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
