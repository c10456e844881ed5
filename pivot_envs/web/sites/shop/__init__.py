"""The shop: its data, its pages and its tasks."""
