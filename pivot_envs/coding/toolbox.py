"""The coding agent's four tools."""

from pivot_envs.tools import ToolSpec, object_schema

BASH = ToolSpec(
    "bash",
    "Run a command in a persistent shell in the working tree. Without a command, run the tests "
    "that the issue is about.",
    object_schema({"command": ("string", "A bash command.")}),
)
VIEW = ToolSpec(
    "view",
    "Show source lines with their numbers. Without arguments, show the function that the last "
    "traceback points to, or that the failing test calls; once more, the next function that the "
    "failing tests run and others hardly do. Long docstrings are folded.",
    object_schema(
        {
            "path": ("string", "A file, or one function as file.py::name or file.py::Class.name."),
            "start": ("integer", "First line to show, counted from 1."),
            "end": ("integer", "Last line to show."),
        }
    ),
)
EDIT = ToolSpec(
    "edit",
    "Change a file. Either give line, old and new, to replace the one occurrence of old on that "
    "line; or give start, end and text, to replace those lines by text.",
    object_schema(
        {
            "path": ("string", "The file; by default the one viewed or edited last."),
            "line": ("integer", "Line that holds old, counted from 1."),
            "old": ("string", "Text that occurs once on the line."),
            "new": ("string", "What to put in its place."),
            "start": ("integer", "First line to replace."),
            "end": ("integer", "Last line to replace; start - 1 inserts before start."),
            "text": ("string", "The new lines."),
        }
    ),
)
SUBMIT = ToolSpec("submit", "Hand in the repaired code; this ends the episode.", object_schema({}))

TOOLS = (BASH, VIEW, EDIT, SUBMIT)
