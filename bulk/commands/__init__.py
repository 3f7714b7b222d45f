"""What the import commands share: their base class, and progress and results on a terminal."""
