"""Hostile requests, with the answers that are expected."""
