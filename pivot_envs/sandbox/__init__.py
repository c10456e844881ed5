"""Boxes that commands run in."""
