"""The language that all Posthouse services speak: imported, never run."""
