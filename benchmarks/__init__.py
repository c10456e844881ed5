"""Programs that measure, with a table and a plot at the end."""
