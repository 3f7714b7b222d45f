"""Run nginx with deploy/nginx.conf in front of a server."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.serving import free_port

SITE = Path(__file__).resolve().parent.parent.parent / "deploy/nginx.conf"
HOST = "127.0.0.1"
TOP = "daemon off; pid nginx.pid; error_log error.log; events { worker_connections 4096; }"
PATHS = "client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;"


class Ports(NamedTuple):
    """``http`` passes requests on without TLS, ``https`` as in production, ``redirect`` is the one that redirects."""

    http: int
    https: int
    redirect: int


def configuration(folder: Path, port: int, ports: Ports) -> str:
    """Return the configuration with the paths and ports of a test."""
    site = SITE.read_text()
    for before, after in {
        "127.0.0.1:8000": f"{HOST}:{port}",
        "listen 80;": f"listen {HOST}:{ports.redirect};",
        "listen 443 ssl;": f"listen {HOST}:{ports.https} ssl; listen {HOST}:{ports.http};",
        "/etc/ssl/school.pem": f"{folder}/school.pem",
        "/etc/ssl/school.key": f"{folder}/school.key",
        "/var/log/nginx/school.log": f"{folder}/school.log",
    }.items():
        assert before in site
        site = site.replace(before, after)
    return f"{TOP} http {{ {PATHS} {site} }}"


def make_certificate(folder: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=school.example"]
    files = ["-keyout", str(folder / "school.key"), "-out", str(folder / "school.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)


@contextmanager
def nginx_before(nginx: str, port: int) -> Iterator[Ports]:
    """Check the configuration as ``nginx -t`` does, and run nginx in front of the server on this port."""
    ports = Ports(*(free_port() for _ in Ports._fields))
    with tempfile.TemporaryDirectory(prefix="school-nginx-") as name:
        folder = Path(name)
        make_certificate(folder)
        (folder / "nginx.conf").write_text(configuration(folder, port, ports))
        command = [nginx, "-p", name, "-c", "nginx.conf", "-e", "error.log"]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        process = subprocess.Popen(command)
        try:
            _wait_for(ports.http, process)
            yield ports
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _attempt in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        assert process.poll() is None, "nginx has stopped"
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")
