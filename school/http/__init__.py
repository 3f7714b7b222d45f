"""What every request passes: middleware, size limits, addresses, rates and headers."""
