"""Benchmarks of School: requests, imports and queries, side by side with other programs."""
