"""Shared code of management commands: safe output, and private files."""
