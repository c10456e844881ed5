"""Dump, what a bash says about itself, and the source that turns a new bash into it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from .box import WORKSPACE, Box

DUMP_COMMANDS = r"""\builtin pwd; \builtin printf '\0'
\builtin umask -p; \builtin printf '\0'
\builtin declare -p; \builtin printf '\0'
\builtin declare -f; \builtin printf '\0'
\builtin declare -F; \builtin printf '\0'
\builtin alias -p; \builtin printf '\0'
\builtin shopt -p; \builtin printf '\0'
\builtin shopt -po; \builtin printf '\0'
\builtin trap -p; \builtin printf '\0'
(($# == 0)) || { \builtin printf 'set --'; \builtin printf ' %q' "$@"; }; \builtin printf '\0'
"""
"""What a bash has to run so that its output is a dump; no command in it forks."""

_DYNAMIC_VARIABLE = re.compile(
    r"_|__request|BASHOPTS|BASHPID|BASH_(ALIASES|ARGC|ARGV0?|CMDS|COMMAND|EXECUTION_STRING|LINENO|MONOSECONDS"
    r"|SOURCE|SUBSHELL|VERSINFO)|COPROC|DIRSTACK|EPOCH(REALTIME|SECONDS)|E?UID|FUNCNAME|GROUPS"
    r"|HISTCMD|LINENO|PIPESTATUS|PPID|PWD|S?RANDOM|SECONDS|SHELLOPTS"
)
"""Variables that bash sets itself, and mostly refuses to have set."""

_VARIABLE = re.compile(r"declare -\S+ ([A-Za-z_][A-Za-z0-9_]*)")
_STATUS = "# exit status: "
_MOVE = "cd -- "


@dataclass(frozen=True)
class Dump:
    """What a bash said about itself, section by section."""

    directory: str
    umask: str
    variables: str
    functions: str
    function_attributes: str
    aliases: str
    shell_options: str
    options: str
    traps: str
    arguments: str

    @classmethod
    def parse(cls, raw: str) -> Dump | None:
        """Read the output of ``DUMP_COMMANDS``, or return None if it is none."""
        sections = raw.split("\0")
        if len(sections) != len(fields(cls)) + 1:
            return None
        return cls(*sections[:-1])

    @functools.cached_property
    def declarations(self) -> dict[str, str]:
        """By name, the lines that declare the variables that can be set."""
        found = {}
        for line in _lines(self.variables):
            match = _VARIABLE.match(line)
            if match and not _DYNAMIC_VARIABLE.fullmatch(match.group(1)):
                found[match.group(1)] = line
        return found

    def mask(self) -> int:
        """Return the file mode mask."""
        return int(self.umask.split()[1], 8)

    def is_plain(self) -> bool:
        """Tell whether a command's failure or start has no effect beyond ``$?``."""
        watchful = ("errexit", "xtrace", "verbose", "noexec")
        options = _lines(self.options)
        return not self.traps and not any(f"set -o {name}" in options for name in watchful)

    def redefines(self, name: str) -> bool:
        """Tell whether the command ``name`` is an alias or a function."""
        name = re.escape(name)
        return bool(
            re.search(rf"^alias {name}=", self.aliases, re.MULTILINE)
            or re.search(rf"^declare -\S+ {name}$", self.function_attributes, re.MULTILINE)
        )

    def source(self, baseline: Dump, exit_status: int, box: Box) -> str:
        """Return the bash source that turns a new shell (``baseline``) into the dumped one."""
        lines: list[str] = []
        directory = box.to_inside(self.directory.rstrip("\n"))
        moved = directory != box.to_inside(baseline.directory.rstrip("\n"))
        if moved:
            lines.append(_MOVE + _quote(directory))
        lines += _changed(self.umask, baseline.umask)
        if self.functions:
            # Functions come before aliases, which would be expanded once more in their bodies.
            lines += ["shopt -s extglob", self.functions.rstrip("\n")]
            attributes = _lines(self.function_attributes)
            lines += [line for line in attributes if not line.startswith("declare -f ")]
            lines.append("shopt -u extglob")
        lines += _changed_variables(self.declarations, baseline.declarations, moved)
        lines += _changed(self.aliases, baseline.aliases)
        lines += _changed(self.shell_options, baseline.shell_options)
        lines += [text.rstrip("\n") for text in (self.traps, self.arguments) if text]
        lines += _changed(self.options, baseline.options)
        if exit_status:
            lines.append(f"{_STATUS}{exit_status}")
        return "\n".join(lines)


def exit_status_of(source: str) -> int:
    """Return the ``$?`` of a saved shell."""
    last = source.rpartition("\n")[2]
    number = last[len(_STATUS) :]
    return int(number) if last.startswith(_STATUS) and number.isdigit() else 0


def localised(source: str, box: Box) -> str:
    """Return a saved shell's source with its folder as the box calls it."""
    start = _MOVE + "'"
    if not source.startswith(start + WORKSPACE):
        return source
    return start + box.workspace + source[len(start + WORKSPACE) :]


def _changed_variables(
    after: Mapping[str, str], before: Mapping[str, str], moved: bool
) -> list[str]:
    lines = [f"unset -v {name}" for name in before if name not in after]
    for name, line in after.items():
        if moved and name == "OLDPWD":
            lines += ["unset -v OLDPWD", line]
        elif before.get(name) != line:
            lines.append(line)
    return lines


def _changed(dumped: str, baseline: str) -> list[str]:
    before = set(_lines(baseline))
    return [line for line in _lines(dumped) if line not in before]


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n") if text else []


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
