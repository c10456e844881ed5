"""Repair real code in a real sandbox."""
