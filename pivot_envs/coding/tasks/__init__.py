"""Where coding tasks come from."""
