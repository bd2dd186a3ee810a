"""The report: one page that shows a run and lets it be heard, without a server and without a network."""

from voiceclone_cli.report.writing import write_report

__all__ = ["write_report"]
