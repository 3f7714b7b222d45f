"""A comparable API in plain Django REST Framework, on the same tables."""
