"""Policies and trainers."""
