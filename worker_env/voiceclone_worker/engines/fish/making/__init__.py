"""A checkpoint of random weights in the exact layout of openaudio-s1-mini: it speaks no words.

It takes the published one's place wherever that cannot be had (tests, measurements, a first look):
every file loads in fish-speech's own loaders, its codec turns speech into codes and codes into sound,
and it speaks as long as a text asks, another way for each reference and seed. See ``ending``.
"""
