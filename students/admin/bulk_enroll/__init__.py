"""The page that enrolls many students in a course, or a student in many courses."""
