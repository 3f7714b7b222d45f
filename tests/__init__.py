"""The tests of School, and the tools that run them."""
