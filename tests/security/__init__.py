"""Tests of costs, limits, roles and erasure."""
