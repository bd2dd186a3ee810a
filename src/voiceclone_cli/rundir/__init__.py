"""The run directory: layout, lock, manifest and cached stages."""
