"""Audio files: any format read through FFmpeg's libraries, WAV and FLAC written."""
