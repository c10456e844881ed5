"""The mailbox: its data, its pages and its tasks."""
