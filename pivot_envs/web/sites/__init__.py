"""Whole sites with real state on the server: a shop, an issue tracker and a mailbox."""
