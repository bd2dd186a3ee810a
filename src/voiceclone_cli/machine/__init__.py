"""The machine that the command runs on: its time, room and threads, and what its processes may see and say."""
