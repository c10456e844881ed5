"""Scripts that do MiniWoB++ tasks from what an agent reads, for demonstrations."""
