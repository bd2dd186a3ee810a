"""What makes speech. An engine is imported only when a task names it."""
