"""The journal of enrollment events, and the change feed that is read from it."""
