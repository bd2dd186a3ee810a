"""Objective evaluation of a finished run, with thresholds for CI."""
