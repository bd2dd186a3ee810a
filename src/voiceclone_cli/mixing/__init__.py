"""The timeline: segments fitted to their slots, mixed over the background."""
