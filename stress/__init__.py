"""Stress tests of a running server: many clients at once, killed processes, slow senders and memory."""
