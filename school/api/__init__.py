"""Shared parts of the REST API: problems, pagination, filters, fields, permissions."""
