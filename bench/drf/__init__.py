"""Plain Django REST Framework on the same tables, for comparison."""
