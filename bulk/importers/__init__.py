"""The base classes of all importers, and their helpers for references between files, for unique values and for undo."""
