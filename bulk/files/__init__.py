"""Reads uploaded files: zips, CSV rows and cells, formats, and rows that contradict each other."""
