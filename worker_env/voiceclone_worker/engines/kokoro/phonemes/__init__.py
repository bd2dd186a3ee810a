"""Text to phonemes in Kokoro's alphabet: ``registry`` and a module for each language, and ``reader`` for whole lines.

Importing the package loads none of them: every command reads the registry, few read a line.
"""
