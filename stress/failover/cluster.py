"""PostgreSQL on three machines by Patroni and etcd, with HAProxy and PgBouncer in front of it."""

import json
import os
import pwd
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from bench.processes import Failed
from stress.failover.configuration import CONNECTIONS, DATABASE, HAPROXY, PATRONI, PGBOUNCER, PORTS
from stress.failover.machines import ACCOUNT, NETWORK, Machine, find_program, make_network, own_folder
from tests.support.postgres import find_binaries

PROGRAMS = {"patroni": "patroni", "etcd": "etcd-server", "haproxy": "haproxy", "pgbouncer": "pgbouncer"}
URL = f"postgres://{DATABASE}@127.0.0.1:{PORTS.pooler}/{DATABASE}"
NODES = 3
HEALTHY_WITHIN = 240  # seconds
COPIED_AFTER = 75  # seconds after which a node that does not follow the primary is copied again


def obstacle() -> str:
    """Return a sentence about what this machine lacks to run the cluster; "" if it lacks nothing."""
    if os.geteuid() != 0:
        return "They need root, to make network namespaces."
    missing = [package for program, package in PROGRAMS.items() if not find_program(program)]
    missing += [] if find_binaries() else ["postgresql"]
    return f"They need packages: apt-get install {' '.join(missing)}" if missing else ""


class Cluster:
    """
    Three machines, each with etcd, Patroni and PostgreSQL; HAProxy finds the primary by asking Patroni.

    PgBouncer is in front of HAProxy, with transaction pooling.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_network()
        self.machines = [Machine(number) for number in range(1, NODES + 1)]
        self.copied_again = 0
        self.front: dict[str, subprocess.Popen[bytes]] = {}
        self._write_configuration()

    def start(self) -> None:
        for machine in self.machines:
            self.start_etcd(machine)
        for machine in self.machines:
            self.start_patroni(machine)
        self.start_front("haproxy")
        self.start_front("pgbouncer")
        self.wait_until_healthy()

    def start_etcd(self, machine: Machine) -> None:
        here, members = machine.address, ",".join(f"{each.name}=http://{each.address}:2380" for each in self.machines)
        options = {
            "name": machine.name,
            "data-dir": f"{machine.name}.etcd",
            "listen-client-urls": f"http://{here}:2379",
            "advertise-client-urls": f"http://{here}:2379",
            "listen-peer-urls": f"http://{here}:2380",
            "initial-advertise-peer-urls": f"http://{here}:2380",
            "initial-cluster": members,
            "heartbeat-interval": "200",
            "election-timeout": "2000",
            "log-level": "error",
            "enable-v2": "true",
        }
        command = [str(find_program("etcd")), *(f"--{name}={value}" for name, value in options.items())]
        machine.start(command, self.folder / f"{machine.name}.etcd.log")

    def start_patroni(self, machine: Machine) -> None:
        name = f"{machine.name}.patroni"
        machine.start([str(find_program("patroni")), f"{name}.yml"], self.folder / f"{name}.log")

    def start_front(self, name: str) -> None:
        """Start HAProxy or PgBouncer."""
        account = pwd.getpwnam(ACCOUNT)
        command = [find_program(name), *(["-db", "-f"] if name == "haproxy" else ["-q"]), f"{name}.conf"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.front[name] = subprocess.Popen(
                [str(each) for each in command],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[],
            )

    def restart_front(self, name: str) -> None:
        """Kill and restart HAProxy or PgBouncer."""
        self.front[name].kill()
        self.front[name].wait()
        self.start_front(name)

    def stop(self) -> None:
        for process in self.front.values():
            process.kill()
            process.wait()
        for machine in self.machines:
            machine.remove()

    def leader(self) -> Machine | None:
        """Return the machine that reports itself as the primary and is believed by the others; None if none is."""
        roles = self.roles()
        leaders = {name for members in roles.values() for name, role in members.items() if role == "leader"}
        named = [each for each in self.machines if leaders == {each.name} and each.name in roles]
        return named[0] if named and _asks(named[0], "/primary") else None

    def synchronous_standby(self) -> Machine | None:
        """Return the machine whose PostgreSQL confirms commits."""
        for members in self.roles().values():
            for machine in self.machines:
                if members.get(machine.name) == "sync_standby":
                    return machine
        return None

    def others(self, machine: Machine) -> list[Machine]:
        return [each for each in self.machines if each is not machine]

    def roles(self) -> dict[str, dict[str, str]]:
        """Return the roles of the running members by name, as each machine that answers sees them."""
        found = {}
        for machine in self.machines:
            seen = _asks(machine, "/cluster")
            if seen:
                running = [each for each in seen["members"] if each["state"] in ("running", "streaming")]
                found[machine.name] = {each["name"]: each["role"] for each in running}
        return found

    def wait_until_healthy(self, *, is_synchronous: bool = True) -> None:
        """
        Wait until there is one primary, all nodes follow it, and writes are acknowledged through the pooler.

        Then write checkpoints, because pg_rewind of PostgreSQL 15 begins at the last common one: if it lies before an
        earlier failover, it leaves nodes that do not start.
        """
        started = time.monotonic()
        copy_at = started + COPIED_AFTER
        while time.monotonic() < started + HEALTHY_WITHIN:
            roles = self.roles()
            expected = ["leader", "replica", "sync_standby" if is_synchronous else "replica"]
            agree = [sorted(members.values()) == expected for members in roles.values()]
            followers = self._followers()
            if len(agree) == NODES and all(agree) and len(followers) == NODES - 1 and self._takes_writes():
                for machine in self.machines:
                    self._write_checkpoint(machine)
                return
            if time.monotonic() > copy_at:
                copy_at += COPIED_AFTER
                self._copy_lost_nodes(followers)
            time.sleep(0.5)
        raise Failed(f"The cluster is not healthy after {HEALTHY_WITHIN} seconds: {self.roles()}")

    def switch_over(self, leader: Machine, candidate: Machine) -> None:
        """Make the synchronous standby the primary."""
        _asks(leader, "/switchover", {"leader": leader.name, "candidate": candidate.name}, timeout=30)

    def set_synchronous(self, value: bool) -> None:
        """Switch synchronous replication on or off."""
        leader = self.leader()
        assert leader is not None
        _asks(leader, "/config", {"synchronous_mode": value, "synchronous_mode_strict": value}, method="PATCH")
        self.wait_until_healthy(is_synchronous=value)

    def direct_url(self) -> str:
        """Return the address of the primary's database, past HAProxy and PgBouncer."""
        leader = self.leader()
        if leader is None:
            raise Failed("There is no primary.")
        return f"postgres://{DATABASE}@{leader.address}:5432/{DATABASE}"

    def log_tail(self) -> str:
        """Return the ends of the logs of Patroni."""
        return "\n".join(
            f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}"
            for log in sorted(self.folder.glob("*.patroni.log"))
        )

    def _copy_lost_nodes(self, followers: set[str]) -> None:
        """Copy the primary to the nodes that do not follow it, as an operator would."""
        leader = self.leader()
        if leader is not None:
            for machine in self.others(leader):
                if machine.name not in followers:
                    self.copied_again += 1
                    print(f"     {machine.name} does not follow the primary: it is copied again.", flush=True)
                    _asks(machine, "/reinitialize", {"force": True})

    def _write_checkpoint(self, machine: Machine) -> None:
        url = f"postgres://postgres@{machine.address}:5432/postgres"
        with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2, autocommit=True) as direct:
            direct.execute("CHECKPOINT")

    def _takes_writes(self) -> bool:
        # The database exists only after the preparation.
        address = (
            URL if (self.folder / "prepared").exists() else f"postgres://postgres@127.0.0.1:{PORTS.proxy}/postgres"
        )
        options: dict[str, Any] = {"connect_timeout": 2, "autocommit": True, "prepare_threshold": None}
        with suppress(psycopg.Error), psycopg.connect(address, **options) as through:
            return through.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        return False

    def _followers(self) -> set[str]:
        """Return the names of the standbys that receive the changes of the primary."""
        statement = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'"
        with suppress(psycopg.Error, Failed), psycopg.connect(self._administration_url(), connect_timeout=2) as direct:
            return {name for (name,) in direct.execute(statement)}
        return set()

    def create_database(self) -> None:
        """Create the database and its owner."""
        with psycopg.connect(self._administration_url(), autocommit=True) as direct:
            direct.execute(f"CREATE ROLE {DATABASE} LOGIN CONNECTION LIMIT {CONNECTIONS}")
            direct.execute(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")
        (self.folder / "prepared").touch()

    def _administration_url(self) -> str:
        leader = self.leader()
        if leader is None:
            raise Failed("There is no primary.")
        return f"postgres://postgres@{leader.address}:5432/postgres"

    def _write_configuration(self) -> None:
        binaries = find_binaries()
        for machine in self.machines:
            values = {
                "name": machine.name,
                "address": machine.address,
                "etcd": ",".join(f"{each.address}:2379" for each in self.machines),
                "folder": self.folder,
                "binaries": binaries,
                "network": NETWORK,
            }
            (self.folder / f"{machine.name}.patroni.yml").write_text(PATRONI.format(**values))
        servers = "".join(f"  server {each.name} {each.address}:5432 check port 8008\n" for each in self.machines)
        (self.folder / "haproxy.conf").write_text(HAPROXY.format(port=PORTS.proxy, servers=servers))
        (self.folder / "pgbouncer.conf").write_text(
            PGBOUNCER.format(port=PORTS.pooler, proxy=PORTS.proxy, folder=self.folder)
        )
        (self.folder / "users").write_text(f'"{DATABASE}" ""\n"postgres" ""\n')
        for path in [self.folder, *self.folder.iterdir()]:
            shutil.chown(path, ACCOUNT, ACCOUNT)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster; stop and remove it at the end."""
    cluster = Cluster(own_folder())
    try:
        cluster.start()
        yield cluster
    finally:
        if keep := os.environ.get("FAILOVER_LOGS"):
            ignored = shutil.ignore_patterns("*.etcd", "*.data")
            shutil.copytree(cluster.folder, keep, ignore=ignored, dirs_exist_ok=True)
        cluster.stop()


def _asks(machine: Machine, path: str, body: Any = None, *, method: str | None = None, timeout: float = 1.5) -> Any:
    """Return the JSON that Patroni of the machine answers, or None if it does not answer or answers with an error."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{machine.address}:8008{path}", data, method=method)
    # The scheme is fixed.
    with suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
        content = answer.read()
        return json.loads(content) if content.startswith(b"{") else {"answer": content.decode()}
    return None
