"""Speaker diarization and transcription of a recording."""
