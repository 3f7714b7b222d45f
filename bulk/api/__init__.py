"""Imports in the REST API."""
