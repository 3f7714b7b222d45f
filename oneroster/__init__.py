"""A OneRoster rostering provider: students, courses and enrollments in the words of the standard OneRoster."""
