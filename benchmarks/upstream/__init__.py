"""The comparison with fish-speech's own program: the same lines in each way of speaking."""
