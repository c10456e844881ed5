"""Tables in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_lines(
    console: Console,
    title: str,
    titles: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    section: int | None = None,
) -> None:
    """Print a table, or nothing where it has no lines; a rule goes below line ``section``."""
    if not lines:
        return
    table = Table(title=title)
    for column in titles:
        table.add_column(
            column, justify="right" if column else "left", no_wrap=not column, overflow="fold"
        )
    for index, line in enumerate(lines):
        table.add_row(*map(escape, line), end_section=index == section)
    console.print(table)
