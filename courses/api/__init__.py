"""Courses and terms in the REST API."""
