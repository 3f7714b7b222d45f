"""Imports of CSV and zip files: preview, approval, processing, report and undo."""
