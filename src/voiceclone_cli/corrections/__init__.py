"""Edits to a finished run: texts, speakers and new takes."""
