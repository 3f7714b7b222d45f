"""Tests of simultaneous requests."""
