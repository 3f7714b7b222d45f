"""Bulk actions of the admin: confirmation with a preview, execution and results."""
