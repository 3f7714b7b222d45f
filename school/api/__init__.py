"""The code that all API views share: authentication, permissions, errors, pagination, filters and fields."""
