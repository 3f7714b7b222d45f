"""The API's manners, shared by every resource: problems, pages, filters, fields, permissions."""
