"""Text to Kokoro's phonemes, a file a language or route; see phonemes.py for which is taken."""
