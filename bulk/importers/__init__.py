"""The base of all importers: what a kind of import declares, upserts, references and undo."""
