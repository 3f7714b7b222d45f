"""Stress tests of a running server: many concurrent clients, killed processes, slow senders and memory."""
