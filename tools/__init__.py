"""Tools for developers of School, which are not part of the product."""
