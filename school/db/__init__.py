"""Access to the databases: back ends, compiled queries, bulk writes, retries and constraints."""
