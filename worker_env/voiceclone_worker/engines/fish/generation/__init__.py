"""Lines to codes: the language model, many lines at once."""
