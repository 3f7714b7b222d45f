"""API clients, the rows that clients and staff may see, and the record of access to personal data."""
