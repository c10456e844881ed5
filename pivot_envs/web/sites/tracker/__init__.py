"""The issue tracker: its data, its pages and its tasks."""
