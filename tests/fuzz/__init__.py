"""Malformed input of every kind; `python -m tests.fuzz --seconds 600` tries what fits in there."""
