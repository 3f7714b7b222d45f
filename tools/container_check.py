"""
Replay deploy/Containerfile in a chroot, and check what it makes: `make container`.

The check runs the commands of the image as its numeric user, with a read-only root, a tmpfs on /tmp, no capability and
a network of its own, in front of a temporary PostgreSQL. It needs root, mmdebstrap and PostgreSQL.
"""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import find_binaries, running_server
from tools.containerfile import Image, ReplayError, replay

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 250_000_000
PROGRAMS = ("mmdebstrap", "unshare", "nsenter", "setpriv", "ip")
HOST = "school.example"
SOCKETS = "/run/postgresql"
LABELS = {f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "version", "revision")}
# Prints the status of an answer, and its first bytes.
ASK = (
    "import sys, urllib.request as r; a = r.urlopen(r.Request('http://127.0.0.1:8000' + sys.argv[1],"
    f" headers={{'Host': '{HOST}', 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '192.0.2.1'}}));"
    " print(a.status, a.headers['Cache-Control'], len(a.read()))"
)


class Container:
    """The namespaces in which the commands of an image run, as a container engine would make them."""

    def __init__(self, image: Image, holder: int, settings: Mapping[str, str]) -> None:
        self.image, self.holder, self.settings = image, holder, settings

    def start(self, *arguments: str, entrypoint: bool = True, **pipes: object) -> "subprocess.Popen[str]":
        user, group = self.image.user.split(":")
        enter = ["nsenter", f"--target={self.holder}", "--mount", "--net", "chroot", str(self.image.root)]
        enter += ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        enter += ["--bounding-set=-all", "--inh-caps=-all", "env", "-i", f"--chdir={self.image.folder}"]
        variables = [f"{name}={value}" for name, value in {**self.image.environment, **self.settings}.items()]
        program = [*(self.image.entrypoint if entrypoint else []), *arguments]
        return subprocess.Popen([*enter, *variables, *program], text=True, **pipes)  # type: ignore[call-overload]

    def run(self, *arguments: str, entrypoint: bool = True) -> tuple[int, str]:
        """Return the exit code and the output of a command."""
        process = self.start(*arguments, entrypoint=entrypoint, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _none = process.communicate(timeout=300)
        return process.returncode, output.strip()


@contextmanager
def container(image: Image, sockets: Path, settings: Mapping[str, str]) -> Iterator[Container]:
    """Yield a container with a read-only root, without a network but with the socket of the database."""
    root = image.root
    (root / SOCKETS.lstrip("/")).mkdir(parents=True, exist_ok=True)
    script = (
        'ip link set lo up && mount --bind "$1" "$1" && mount --bind "$2" "$1$3" && mount -t proc proc "$1/proc"'
        ' && mount --rbind /dev "$1/dev" && mount -t tmpfs -o mode=1777,size=512m tmpfs "$1/tmp"'
        ' && mount -o remount,bind,ro "$1" && cd "$1" && echo ready && exec chroot "$1" sleep infinity'
    )
    command = ["unshare", "--mount", "--net", "/bin/sh", "-c", script, "sh", str(root), str(sockets), SOCKETS]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != "ready\n":
            raise ReplayError("The namespaces of the container cannot be made.")
        time.sleep(0.2)  # until chroot has taken the place of the shell
        yield Container(image, holder.pid, settings)
    finally:
        holder.kill()
        holder.wait()


def image_bytes(root: Path) -> int:
    """Return the size of the files of an image; a file with several names counts once."""
    inodes = {}
    for path in root.rglob("*"):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            inodes[status.st_ino] = status.st_size
    return sum(inodes.values())


def check_files(image: Image) -> Iterator[str]:
    """Yield each fault of the files and the settings of an image."""
    size = image_bytes(image.root)
    print(f"The files of the image have {size / 1e6:.0f} MB; School and its packages {_part(image):.0f} MB.")
    if size >= MAX_BYTES:
        yield f"The image has {size} bytes."
    if missing := LABELS - image.labels.keys():
        yield f"The labels {missing} are missing."
    if not all(part.isdecimal() and int(part) > 999 for part in image.user.split(":")):
        yield f"The user is {image.user}, not a number of an unprivileged user."
    if any(word in name for name in image.environment for word in ("SECRET", "PASSWORD", "TOKEN", "DATABASE")):
        yield "The environment of the image has a secret."
    found = [
        path for pattern in (".env", "*.sqlite3*", "secrets") for path in image.root.glob(f"opt/school/**/{pattern}")
    ]
    if found:
        yield f"The image has {found}."
    accounts = [line.split(":") for line in (image.root / "etc/passwd").read_text().splitlines()]
    if added := [name for name, _x, uid, *_rest in accounts if 1000 <= int(uid) < 65534]:
        yield f"The image has the accounts {added}."


def _part(image: Image) -> float:
    return image_bytes(image.root / "opt/school") / 1e6


def check_running(image: Image, sockets: Path, port: int) -> Iterator[str]:
    """Yield each fault of a container of the image."""
    url = f"postgres://school@/postgres?host={SOCKETS}&port={port}"
    with container(image, sockets, {}) as empty:
        code, said = empty.run(*image.command)
        print(f"Without settings: {said}")
        if (code, said) != (1, "Set the SECRET_KEY environment variable"):
            yield f"Without a key: {code}, {said}"
    settings = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": url,
        "ALLOWED_HOSTS": HOST,
        "BEHIND_TLS_PROXY": "true",
        "TRUSTED_PROXIES": "1",
        "LOG_LEVEL": "WARNING",
    }
    with container(image, sockets, settings) as box:
        for arguments in (
            ["migrate", "--no-input", "--verbosity=0"],
            ["check", "--deploy"],
            ["verify"],
            ["housekeeping"],
        ):
            code, said = box.run(*arguments)
            print(f"{arguments[0]}: {said.splitlines()[-1] if said else 'done'}")
            if code:
                yield f"{arguments}: {code}, {said}"
        code, said = box.run(*image.health_check, entrypoint=False)
        if code != 1:
            yield f"The health check without a server: {code}, {said}"
        server = box.start(*image.command)
        try:
            yield from _check_server(box)
        finally:
            began = time.monotonic()
            server.send_signal(getattr(signal, image.stop_signal))
            server.wait(timeout=30)
            print(f"The server has stopped after {time.monotonic() - began:.1f} s.")
        code, said = box.run("sh", "-c", "python manage.py backup - | wc --bytes", entrypoint=False)
        print(f"backup: {said}")
        if "enrollments" not in said:
            yield f"backup: {said}"
        code, said = box.run(
            "sh", "-c", "touch /opt/school/x /etc/x /x; id -u; grep Cap /proc/self/status", entrypoint=False
        )
        if said.count("Read-only") != 3 or "10001" not in said or "CapEff:\t0000000000000000" not in said:
            yield f"The root can be written, or the user has rights: {said}"


def _check_server(box: Container) -> Iterator[str]:
    began = time.monotonic()
    while (health := box.run(*box.image.health_check, entrypoint=False))[0] and time.monotonic() < began + 60:
        time.sleep(0.5)
    print(f"The health check succeeds after {time.monotonic() - began:.1f} s.")
    if health[0]:
        yield f"The health check: {health}"
    for path in ("/health", "/admin/login/", "/static/unfold/css/styles.css", "/static/school/desk.css", "/api/v1"):
        code, said = box.run("python", "-c", ASK, path, entrypoint=False)
        print(f"{path}: {said.splitlines()[-1]}")
        if code or not said.startswith("200"):
            yield f"{path}: {said}"


def main() -> int:
    if os.geteuid() != 0 or not all(shutil.which(program) for program in PROGRAMS) or find_binaries() is None:
        print(f"The replay needs root, {', '.join(PROGRAMS)} and PostgreSQL.", file=sys.stderr)
        return 1
    binaries = find_binaries()
    assert binaries is not None
    work = Path(sys.argv[1]) if sys.argv[1:] else Path(tempfile.mkdtemp(prefix="school-container-", dir="/var/tmp"))
    try:
        image = replay(ROOT / "deploy/Containerfile", ROOT, work)
        with running_server(binaries) as server:
            server.folder.chmod(0o755)
            faults = [*check_files(image), *check_running(image, server.folder, server.port)]
    except ReplayError as error:
        faults = [str(error)]
    finally:
        if not sys.argv[1:]:
            shutil.rmtree(work, ignore_errors=True)
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    print("The image is right." if not faults else "The image is not right.")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
