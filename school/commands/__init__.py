"""What management commands share: safe output, and private files."""
