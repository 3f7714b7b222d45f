"""Courses and terms."""
