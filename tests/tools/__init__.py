"""Tests of the repository and of its tools."""
