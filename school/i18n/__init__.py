"""Languages: the language of each request, and stored messages that are translated when they are shown."""
