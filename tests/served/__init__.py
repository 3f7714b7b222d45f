"""Tests of started processes."""
