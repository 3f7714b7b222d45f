"""The life of an import: submission, approval, processing by a worker, leases and undo."""
