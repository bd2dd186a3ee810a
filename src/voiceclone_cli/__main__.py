"""`python -m voiceclone_cli` is `voiceclone`."""

from voiceclone_cli.cli import main

main()
