"""MiniWoB++, small closed pages with one task each."""
