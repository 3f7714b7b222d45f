"""Tests of the package school."""
