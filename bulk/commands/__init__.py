"""Shared code of the import commands: base class, progress and results on a terminal."""
