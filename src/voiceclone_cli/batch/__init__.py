"""Many recordings in one command."""
