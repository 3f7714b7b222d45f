"""A temporary PgBouncer in front of a PostgreSQL server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.postgres import unprivileged_account
from tests.support.serving import free_port

CONFIGURATION = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
server_login_retry = 1
logfile = {folder}/log
{more}
"""


def find_pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(server_url: str, *, pool_size: int = 10, more: str = "") -> Iterator[str]:
    """Start PgBouncer with transaction pooling; yield the DATABASE_URL of the database through it."""
    program = find_pgbouncer()
    assert program is not None
    server, port = urlsplit(server_url), free_port()
    with tempfile.TemporaryDirectory(prefix="school-pgbouncer-") as name:
        folder, account = Path(name), unprivileged_account()
        (folder / "users").write_text(f'"{server.username}" ""\n')
        values = {"host": server.hostname, "server_port": server.port, "port": port, "folder": folder}
        (folder / "ini").write_text(CONFIGURATION.format(**values, pool_size=pool_size, more=more))
        run_as: dict[str, Any] = {}
        if account:  # PgBouncer refuses root, like PostgreSQL
            run_as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (folder, folder / "users", folder / "ini"):
                os.chown(path, account.pw_uid, account.pw_gid)
        process = subprocess.Popen([program, "-q", folder / "ini"], cwd=folder, **run_as)
        try:
            _wait_for(port, process)
            yield server._replace(netloc=f"{server.username}@127.0.0.1:{port}").geturl()
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _attempt in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None
        time.sleep(0.1)
