"""Management commands of OneRoster."""
