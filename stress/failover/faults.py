"""The faults: each is injected, and its causes are removed, while clients act; ``FAULTS`` has them by name."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.processes import Failed
from stress.failover.cluster import Cluster
from stress.failover.followers import ImportSender
from stress.failover.machines import Machine
from stress.failover.school import PORTS, WORKER, School

POSTGRES = "postgres"
ELECTED_WITHIN = 60  # seconds
AWAY = 10  # seconds for which a standby is away
ETCD_AWAY = 20  # seconds, more than the key of the primary lives in etcd
# Seconds for which a standby still believes the primary that went on without etcd: ttl. A fault within this time is a
# second one at once, and lasts until its end.
FAILSAFE_ENDS = 15
RESTARTED_AFTER = 1.0  # seconds after which a service manager restarts a killed process
IMPORT_WITHIN = 20  # seconds


class Scene(NamedTuple):
    """Everything that a fault can act on."""

    cluster: Cluster
    school: School
    sender: ImportSender
    turn: int  # the number of the fault in the run


class Fault(NamedTuple):
    goal: float  # the longest time without an acknowledged act, in seconds
    inject: Callable[[Scene], None]


def _postgres_killed(scene: Scene) -> None:
    _leader(scene).kill(POSTGRES)


def _switchover(scene: Scene) -> None:
    scene.cluster.switch_over(_leader(scene), _synchronous_standby(scene))


def _primary_killed(scene: Scene) -> None:
    leader = _leader(scene)
    leader.kill()
    _wait_for_other_leader(scene, leader)
    _restart(scene, leader)


def _primary_frozen(scene: Scene) -> None:
    with _frozen(_leader(scene)) as leader:
        _wait_for_other_leader(scene, leader)


def _primary_cut_off(scene: Scene) -> None:
    leader = _leader(scene)
    leader.cut_off()
    try:
        _wait_for_other_leader(scene, leader)
    finally:
        leader.reconnect()


def _primary_cut_off_from_nodes(scene: Scene) -> None:
    """The primary reaches no other node, and School still reaches the primary."""
    leader = _leader(scene)
    others = scene.cluster.others(leader)
    leader.cut_off_from(others)
    try:
        _wait_for_other_leader(scene, leader)
    finally:
        leader.reconnect_with(others)


def _standby_killed(scene: Scene) -> None:
    standby = _synchronous_standby(scene)
    standby.kill()
    time.sleep(AWAY)
    _restart(scene, standby)


def _standby_frozen(scene: Scene) -> None:
    with _frozen(_synchronous_standby(scene)):
        time.sleep(AWAY)


def _etcd_lost(scene: Scene) -> None:
    first = scene.turn % len(scene.cluster.machines)
    lost = [each for number, each in enumerate(scene.cluster.machines) if number != first]
    for machine in lost:
        machine.kill("etcd")
    time.sleep(ETCD_AWAY)
    for machine in lost:
        scene.cluster.start_etcd(machine)
    time.sleep(FAILSAFE_ENDS)


def _server_killed(scene: Scene) -> None:
    _kill_and_restart(scene, str(PORTS[scene.turn % len(PORTS)]))


def _worker_killed(scene: Scene) -> None:
    scene.sender.wanted.set()
    _kill_and_restart(scene, WORKER)


def _pooler_restarted(scene: Scene) -> None:
    scene.cluster.restart_front("pgbouncer")


def _killed_in_import(scene: Scene) -> None:
    """PostgreSQL is killed while a worker applies a file."""
    scene.sender.wanted.set()
    deadline = time.monotonic() + IMPORT_WITHIN
    while not scene.sender.is_applying and time.monotonic() < deadline:
        time.sleep(0.02)
    _leader(scene).kill(POSTGRES)


CRASH, NODE, PARTITION, NONE = 6.0, 25.0, 30.0, 1.0
FAULTS = {
    "PostgreSQL killed": Fault(CRASH, _postgres_killed),
    "switchover": Fault(CRASH, _switchover),
    "primary node killed": Fault(NODE, _primary_killed),
    "primary node frozen": Fault(NODE, _primary_frozen),
    "primary node cut off": Fault(PARTITION, _primary_cut_off),
    "primary cut off from nodes": Fault(PARTITION, _primary_cut_off_from_nodes),
    "synchronous standby killed": Fault(NODE, _standby_killed),
    "synchronous standby frozen": Fault(NODE, _standby_frozen),
    "majority of etcd lost": Fault(NONE, _etcd_lost),
    "School server killed": Fault(CRASH, _server_killed),
    "worker killed": Fault(NONE, _worker_killed),
    "PgBouncer restarted": Fault(CRASH, _pooler_restarted),
    "PostgreSQL killed in import": Fault(CRASH, _killed_in_import),
}
SHORT = ("PostgreSQL killed in import", "primary cut off from nodes", "switchover")
# With asynchronous replication, this fault loses what School wrote until the primary noticed that it was cut off.
LOSING = "primary cut off from nodes"


def _leader(scene: Scene) -> Machine:
    return _wait_for_machine("primary", scene.cluster.leader)


def _synchronous_standby(scene: Scene) -> Machine:
    return _wait_for_machine("synchronous standby", scene.cluster.synchronous_standby)


def _wait_for_machine(role: str, find: Callable[[], Machine | None]) -> Machine:
    """Return the machine with a role: for a moment after another fault, Patroni may report none."""
    deadline = time.monotonic() + ELECTED_WITHIN
    while time.monotonic() < deadline:
        if machine := find():
            return machine
        time.sleep(0.2)
    raise Failed(f"There is no {role} to act on for {ELECTED_WITHIN} seconds.")


def _wait_for_other_leader(scene: Scene, leader: Machine) -> None:
    """Wait until another machine is the primary; what the old one reports does not count."""
    deadline = time.monotonic() + ELECTED_WITHIN
    others = [each.name for each in scene.cluster.others(leader)]
    while time.monotonic() < deadline:
        roles = scene.cluster.roles()
        for seen_by in others:
            if any(roles.get(seen_by, {}).get(name) == "leader" for name in others):
                time.sleep(1)  # the old primary may think for a moment that it still is one
                return
        time.sleep(0.5)
    raise Failed(f"There is no new primary after {ELECTED_WITHIN} seconds.")


def _restart(scene: Scene, machine: Machine) -> None:
    scene.cluster.start_etcd(machine)
    scene.cluster.start_patroni(machine)


def _kill_and_restart(scene: Scene, name: str) -> None:
    scene.school.kill(name)
    time.sleep(RESTARTED_AFTER)
    scene.school.start(name)


@contextmanager
def _frozen(machine: Machine) -> Iterator[Machine]:
    machine.signal(signal.SIGSTOP)
    try:
        yield machine
    finally:
        machine.signal(signal.SIGCONT)
