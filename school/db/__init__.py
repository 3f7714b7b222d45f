"""Access to the databases: back ends, compiled queries, bulk inserts, retries and constraints."""
