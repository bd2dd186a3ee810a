"""Developers' tools: what is measured of voiceclone, and what it is measured with."""
