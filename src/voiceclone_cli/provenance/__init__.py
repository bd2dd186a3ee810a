"""Watermark, metadata tags and consent records of cloned speech."""
