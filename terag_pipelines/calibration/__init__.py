"""Confidence that means what it says: of the links scored .9, nine in ten are right."""
