"""Finds and removes a person's data in the files and results of imports."""
