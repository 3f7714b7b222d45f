"""Template tags for codes of rules."""
