"""Scripts: what is spoken, by which speaker and when."""
