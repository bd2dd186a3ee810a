"""The codec: references to codes, codes to speech."""
