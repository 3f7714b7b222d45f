"""Tests of the package oneroster."""
