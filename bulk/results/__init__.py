"""The outcome of each row, and the reports that are made of outcomes."""
