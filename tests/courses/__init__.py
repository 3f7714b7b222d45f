"""Tests of courses and terms."""
