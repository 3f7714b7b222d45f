"""A course's roster in the admin: its rows, print and exports."""
