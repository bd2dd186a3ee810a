"""What a run would do, how long it would take and what it would need."""
