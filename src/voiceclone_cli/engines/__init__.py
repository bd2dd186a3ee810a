"""Speech engines as the coordinator sees them: selection, fish-speech and its environment."""
