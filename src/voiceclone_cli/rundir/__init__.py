"""The directory that a run leaves, and how a later run goes on in it."""
