"""The configuration of Patroni, HAProxy and PgBouncer; docs/scaling.md explains the values."""

from typing import NamedTuple

DATABASE = "school"  # and its owner
# Transactions that wait for a standby keep their connections when their clients are gone. Without a limit they would
# take those that Patroni and the standbys need.
CONNECTIONS = 70


class Ports(NamedTuple):
    proxy: int = 5000
    pooler: int = 6432


PORTS = Ports()

# A dead primary is replaced when its key in etcd has expired (ttl). loop_wait + 2 * retry_timeout must not exceed it.
# With failsafe_mode, the primary goes on without etcd while it reaches all standbys.
PATRONI = """\
scope: school
name: {name}
restapi:
  listen: {address}:8008
  connect_address: {address}:8008
etcd:
  hosts: {etcd}
bootstrap:
  dcs:
    ttl: 15
    loop_wait: 1
    retry_timeout: 5
    failsafe_mode: true
    maximum_lag_on_failover: 16777216
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      remove_data_directory_on_rewind_failure: true
      use_slots: true
      parameters:
        max_connections: 100
        shared_buffers: 128MB
        wal_level: replica
        wal_keep_size: 1GB
        max_wal_size: 512MB
        wal_sender_timeout: 5s
        wal_receiver_timeout: 5s
        wal_retrieve_retry_interval: 500ms
        tcp_keepalives_idle: 5
        tcp_keepalives_interval: 2
        tcp_keepalives_count: 3
  initdb:
    - encoding: UTF8
    - data-checksums
  pg_hba:
    - host all all {network}.0/24 trust
    - host replication all {network}.0/24 trust
    - local all all trust
postgresql:
  listen: {address}:5432
  connect_address: {address}:5432
  data_dir: {folder}/{name}.data
  bin_dir: {binaries}
  basebackup:
    checkpoint: fast
  pgpass: {folder}/{name}.pgpass
  authentication:
    replication: {{username: postgres}}
    superuser: {{username: postgres}}
    rewind: {{username: postgres}}
  parameters:
    unix_socket_directories: ""
"""

HAPROXY = """\
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 1s
listen primary
  bind 127.0.0.1:{port}
  maxconn 200
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""

PGBOUNCER = """\
[databases]
* = host=127.0.0.1 port={proxy}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
server_login_retry = 1
server_connect_timeout = 2
"""
