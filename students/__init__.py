"""Students and their enrollments."""
