"""The worker: speaks task files in its own interpreter. Started by path, never installed into it."""
