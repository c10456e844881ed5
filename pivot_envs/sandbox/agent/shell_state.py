"""ShellState, a dump of a bash and the source that turns a new bash into it."""

from __future__ import annotations

import re

_DUMP = rb"""\builtin pwd; \builtin printf '\0'
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

_SECTIONS = 10

_DYNAMIC_VARIABLES = frozenset(
    "_ BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND "
    "BASH_EXECUTION_STRING BASH_LINENO BASH_MONOSECONDS BASH_SOURCE BASH_SUBSHELL BASH_VERSINFO "
    "COPROC DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD LINENO PIPESTATUS "
    "PPID PWD RANDOM SECONDS SHELLOPTS SRANDOM UID".split()
)

_STATUS = re.compile(r"^# exit status: (\d+)$", re.MULTILINE)
_VARIABLE = re.compile(r"declare -\S+ ([A-Za-z_][A-Za-z0-9_]*)")


def _source(sections: list[str], baseline: list[str], exit_status: int, box: Box) -> str:
    """Return the bash source that turns a new shell into the dumped one."""
    directory, umask, variables, functions, attributes, aliases, shopts, options, traps, rest = (
        sections
    )
    lines: list[str] = []
    directory = box.to_inside(directory.rstrip("\n"))
    moved = directory != box.to_inside(baseline[0].rstrip("\n"))
    if moved:
        lines.append(_CD + _quote(directory))
    lines += _changed(umask, baseline[1])
    if functions:
        lines += ["shopt -s extglob", functions.rstrip("\n")]
        lines += [line for line in _lines(attributes) if not line.startswith("declare -f ")]
        lines.append("shopt -u extglob")
    lines += _changed_variables(variables, baseline[2], moved)
    lines += _changed(aliases, baseline[5])
    lines += _changed(shopts, baseline[6])
    lines += [text.rstrip("\n") for text in (traps, rest) if text]
    lines += _changed(options, baseline[7])
    if exit_status:
        lines.append(f"# exit status: {exit_status}")
    return "\n".join(lines)


def _changed_variables(dumped: str, baseline: str, moved: bool) -> list[str]:
    before = {name: line for name, line in _variables(baseline)}
    after = {name: line for name, line in _variables(dumped)}
    lines = [f"unset -v {name}" for name in before if name not in after]
    for name, line in after.items():
        if moved and name == "OLDPWD":
            lines += ["unset -v OLDPWD", line]
        elif before.get(name) != line:
            lines.append(line)
    return lines


def _variables(dumped: str) -> list[tuple[str, str]]:
    found = []
    for line in _lines(dumped):
        match = _VARIABLE.match(line)
        if match and match.group(1) not in _DYNAMIC_VARIABLES:
            found.append((match.group(1), line))
    return found


def _changed(dumped: str, baseline: str) -> list[str]:
    before = set(_lines(baseline))
    return [line for line in _lines(dumped) if line not in before]


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n") if text else []


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


