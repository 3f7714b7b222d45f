"""
Replays a Containerfile without a container engine: each stage is a folder, each step runs in it by chroot.

The file itself is parsed, so that the replay cannot differ from it. An instruction or an option that the replay does
not know is an error. The base images are replaced by a Debian that mmdebstrap makes.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = re.compile(r"\$\{(\w+)\}")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Files that the image debian:bookworm-slim leaves out, too.
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
MERGED_USR = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"  # as in the image: without Perl, which usrmerge needs
# Settings of this machine's network, which a container engine would provide as well.
HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_VARIABLES = ("PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "http_proxy", "https_proxy", "no_proxy")


class ReplayError(Exception):
    """The Containerfile cannot be replayed. The message is one line."""


class Instruction(NamedTuple):
    name: str
    text: str


@dataclass
class Image:
    """The folder of a stage, and the settings that its instructions have made so far."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)  # the arguments, only for the build
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": DEFAULT_PATH})
    labels: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"


def parse(text: str) -> Iterator[Instruction]:
    """Yield the instructions of a Containerfile, each as one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _blank, rest = line.strip().partition(" ")
            yield Instruction(name.upper(), rest.strip())


def replay(containerfile: Path, context: Path, work: Path) -> Image:
    """Build the stages in folders of ``work``, and return the last one."""
    globals_: dict[str, str] = {}
    stages: dict[str, Image] = {}
    image: Image | None = None
    for name, text in parse(containerfile.read_text()):
        if name == "FROM":
            base, _as, stage = re.fullmatch(r"(\S+)(?: (AS) (\S+))?", _substitute(text, globals_)).groups()  # type: ignore[union-attr]
            image = stages[stage or ""] = Image(work / (stage or "image"))
            _unpack_debian(base, image.root, work)
        elif image is None:
            if name != "ARG":
                raise ReplayError(f"{name} stands before FROM.")
            globals_.update(_assignments([text]))
        else:
            _apply(image, name, text, context, stages)
    assert image is not None
    return image


def _apply(image: Image, name: str, text: str, context: Path, stages: Mapping[str, Image]) -> None:
    known = {**image.variables, **image.environment}
    match name:
        case "ARG":
            image.variables.update(_assignments([text]))
        case "ENV":
            image.environment.update(_assignments(shlex.split(_substitute(text, known))))
        case "LABEL":
            image.labels.update(_assignments(shlex.split(_substitute(text, known))))
        case "WORKDIR":
            image.folder = _substitute(text, known)
            _inside(image, image.folder).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = text
        case "EXPOSE":
            image.ports = text.split()
        case "STOPSIGNAL":
            image.stop_signal = text
        case "ENTRYPOINT":
            image.entrypoint = json.loads(text)
        case "CMD":
            image.command = json.loads(text)
        case "HEALTHCHECK":
            image.health_check = json.loads(text[text.index("CMD ") + 4 :])
        case "RUN":
            if text.startswith("--"):
                raise ReplayError(f"RUN {text.split()[0]} is not known to the replay.")
            print(f"RUN {text[:90]} …", flush=True)
            _run(image, text)
        case "COPY":
            _copy(image, text.split(), context, stages)
        case _:
            raise ReplayError(f"{name} is not known to the replay.")


def _assignments(words: list[str]) -> dict[str, str]:
    return {name: value for name, _equals, value in (word.partition("=") for word in words)}


def _substitute(text: str, variables: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda match: variables[match[1]], text)


def _inside(image: Image, path: str) -> Path:
    """Return the path outside the chroot of a path inside, which may be relative to the folder of the image."""
    return image.root / os.path.normpath(os.path.join(image.folder, path)).lstrip("/")  # noqa: PTH118  # as in the image


def _unpack_debian(base: str, root: Path, work: Path) -> None:
    name = re.fullmatch(r"docker\.io/library/debian:(\w+)-slim", base)
    if name is None:
        raise ReplayError(f"The replay has no substitute for the image {base}.")
    archive = work / f"{name[1]}.tar"
    if not archive.exists():
        print(f"FROM {base}: mmdebstrap {name[1]} …", flush=True)
        options = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        clean = '--customize-hook=rm -rf "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/var/log/*'
        command = ["mmdebstrap", "--quiet", "--variant=minbase", MERGED_USR, "--include=usr-is-merged"]
        subprocess.run([*command, *options, clean, name[1], archive], check=True)
    root.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        tar.extractall(root, filter="fully_trusted")  # noqa: S202  # mmdebstrap has made it


def _run(image: Image, command: str) -> None:
    """Run a command in the chroot, with its own /proc, the devices and the network settings of this machine."""
    root = image.root
    certificates = root / "run/host-certificates.crt"
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    shutil.copy("/etc/resolv.conf", resolver)
    if HOST_CERTIFICATES.exists():
        shutil.copy(HOST_CERTIFICATES, certificates)
    network = {name: os.environ[name] for name in PIP_VARIABLES if name in os.environ}
    if certificates.exists():
        network["PIP_CERT"] = f"/{certificates.relative_to(root)}"
    environment = {**image.variables, **image.environment, **network, "DEBIAN_FRONTEND": "noninteractive"}
    script = 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" /bin/sh -c "$2"'
    inner = f"cd {shlex.quote(image.folder)} && {command}"
    isolated = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "/bin/sh",
        "-c",
        script,
        "sh",
        str(root),
        inner,
    ]
    try:
        done = subprocess.run(isolated, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise ReplayError(f"RUN failed: {command}\n{done.stdout.decode(errors='replace')[-2_000:]}")
    finally:
        certificates.unlink(missing_ok=True)
        resolver.unlink()
        resolver.touch()  # an engine mounts its own


def _copy(image: Image, words: list[str], context: Path, stages: Mapping[str, Image]) -> None:
    options, paths = [each for each in words if each.startswith("--")], [each for each in words if each[0] != "-"]
    origin = context
    for option in options:
        name, _equals, value = option.partition("=")
        if name != "--from":
            raise ReplayError(f"COPY {name} is not known to the replay.")
        origin = stages[value].root
    *sources, target = paths
    goal = _inside(image, target)
    for source in sources:
        path = origin / source.lstrip("/")
        if origin == context and not admitted(source, context):
            raise ReplayError(f"COPY {source}: .dockerignore leaves it out.")
        if path.is_dir():
            shutil.copytree(path, goal, symlinks=True, dirs_exist_ok=True, ignore=_left_out(origin == context))
        else:
            goal.mkdir(parents=True, exist_ok=True) if target.endswith("/") else None
            shutil.copy2(path, goal)


def _left_out(is_context: bool) -> Callable[[Any, list[str]], set[str]] | None:
    return shutil.ignore_patterns("__pycache__", "*.sqlite3*", ".env") if is_context else None


def admitted(source: str, context: Path) -> bool:
    """Return True if .dockerignore, which admits only what it lists, lists the source."""
    rules = (context / ".dockerignore").read_text().splitlines()
    return f"!{source.rstrip('/')}" in rules
