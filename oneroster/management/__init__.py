"""Management commands of students and enrollments."""
