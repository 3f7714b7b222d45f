"""HTTP: middleware, size limits, addresses, request rates and headers."""
