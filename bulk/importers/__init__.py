"""The base classes of all importers, and their helpers for parts, ids of rows, unique values and undo."""
