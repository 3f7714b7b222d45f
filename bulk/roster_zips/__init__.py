"""Zips with a manifest of OneRoster 1.1 or 1.2: the files of the standard, the manifest, and the checks of the rows."""
