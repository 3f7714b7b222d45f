"""The delivery of messages by the workers."""
