"""Re-voice a recording: who speaks when, and every line again in its own speaker's cloned voice."""

from __future__ import annotations

__version__ = "0.1.0"
