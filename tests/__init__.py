"""The tests of School, and what they share."""
