"""The command line: options, progress bars and the output of every verb."""
