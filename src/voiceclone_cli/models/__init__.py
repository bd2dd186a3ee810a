"""Model files: registry, store and download."""
