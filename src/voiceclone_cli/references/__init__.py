"""References: clean speech of each speaker and its words."""
