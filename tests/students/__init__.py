"""Tests of students and enrollments."""
