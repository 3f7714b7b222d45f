"""The OpenAPI document: operations, texts, schemas, shared parts, links and its page."""
