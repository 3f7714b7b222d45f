"""Webhooks: pushes the changes of the feed to registered URLs."""
