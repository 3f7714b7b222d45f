"""
Failover under load: School on a replicated PostgreSQL whose nodes, network, pooler and servers fail one after another.

``machines`` has the nodes as network namespaces, ``cluster`` the programs on them, ``school`` the servers and the
worker, ``clients``, ``followers`` and ``history`` the load and its history, ``faults`` the faults, ``checker`` the
comparison of the histories with the journal, and ``run`` the run.
"""
