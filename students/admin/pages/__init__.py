"""The pages of a student and of a course, with their tabs and the panel that enrolls a student."""
