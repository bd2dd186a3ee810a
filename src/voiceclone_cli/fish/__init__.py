"""fish-speech from the outside: its code, its interpreter and environment, its weights."""
