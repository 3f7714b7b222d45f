"""Tools for developers: checks, the test runner, mutants, fuzzing, messages, OpenAPI document, language."""
