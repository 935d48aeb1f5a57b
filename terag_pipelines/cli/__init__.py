"""Composition root for people: the `terag` command."""
