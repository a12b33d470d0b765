"""Lessons beside the live studio."""
