"""
Tools for developers: static checks, the test runner, mutation tests, fuzz tests, and generators of catalogs and of the
OpenAPI document.
"""
