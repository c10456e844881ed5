"""The laws of a box's saved states, each with the function that tries it."""

import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

from pivot_envs.errors import SnapshotError
from pivot_envs.sandbox.base import FileEntry, SandboxState
from pivot_envs.sandbox.trial import EMPTY, Check, Trial, must_raise, unique_number
from pivot_envs.snapshot import sha256

LAW_UNDISTURBED = "save() leaves files, shell and background processes as they are"
LAW_CONTENT = "a load brings back the content of every file, whatever its name"
LAW_MODES = "a load brings back the mode of every file and folder"
LAW_SYMLINKS = "a load brings back symlinks as symlinks, dangling ones too"
LAW_DELETIONS = "a load removes what the state does not have"
LAW_EMPTY_FOLDERS = "a load brings back empty folders"
LAW_EQUAL = "the state after a load equals the state that was loaded"
LAW_SHELL_STATE = "a load brings back folder, variables, functions, aliases, options and umask"
LAW_BACKGROUND = "a load ends background processes"
LAW_MOVES = "a state that one box saved is the same in another"
LAW_DAMAGED = "a damaged state raises SnapshotError and leaves the box usable"

_POPULATE = r"""
mkdir -p folder/empty locked; echo text > folder/file; : > 'two words'; echo x > $'not\377utf8'
printf 'a\0b\377' > binary; chmod 751 binary; chmod 600 folder/file; chmod 2750 folder
ln -s folder/file link; ln -s /nowhere dangling; echo in > locked/in; chmod 500 locked
"""
_SPOIL = r"""
chmod 700 locked; rm -rf folder locked 'two words' $'not\377utf8' link dangling
echo other > binary; chmod 644 binary; mkdir -p link/new; echo more > more
"""
_KNOW = r"""
mkdir -p deep; cd deep; plain='a  b'; export EXPORTED=$'line\nbreak'; list=(one 'two words')
greet() { echo "hi $1"; }; alias say='echo said'; set -o noglob; umask 027
"""
_ASK = r"""pwd; printf '%s|' "$plain" "$EXPORTED" "${list[1]}"; greet you; say so; echo *; umask"""


def _spoiled(trial: Trial) -> SandboxState:
    """Return the state of a workspace with every kind of entry, which then was changed."""
    assert trial.run(_POPULATE).exit_code == 0, "the box has a bash and coreutils"
    state = trial.box.save()
    trial.run(_SPOIL)
    return state


def _check_undisturbed(trial: Trial) -> None:
    argument = unique_number()
    trial.run(f"mkdir a; cd a; X=1; sleep {argument} & echo $! > pid")
    first, second = trial.box.save(), trial.box.save()
    assert first == second, "two saves in a row differ"
    assert (seen := trial.output("echo $X; jobs -r | wc -l")) == "1\n1\n", seen


def _check_content(trial: Trial) -> None:
    trial.box.load(_spoiled(trial))
    seen = trial.output(r"cat folder/file $'not\377utf8'; od -An -c binary; cat 'two words'")
    assert seen == "text\nx\n   a  \\0   b 377\n", seen


def _check_modes(trial: Trial) -> None:
    trial.box.load(_spoiled(trial))
    seen = trial.output("stat -c '%a %n' binary folder folder/file locked")
    assert seen == "751 binary\n2750 folder\n600 folder/file\n500 locked\n", seen


def _check_symlinks(trial: Trial) -> None:
    trial.box.load(_spoiled(trial))
    seen = trial.output("readlink link; readlink dangling")
    assert seen == "folder/file\n/nowhere\n", seen


def _check_deletions(trial: Trial) -> None:
    trial.box.load(_spoiled(trial))
    assert (seen := trial.output("ls more link/new 2> /dev/null")) == "", f"{seen!r} is there"


def _check_empty_folders(trial: Trial) -> None:
    trial.box.load(_spoiled(trial))
    assert trial.run("test -d folder/empty").exit_code == 0, "folder/empty is missing"


def _check_equal(trial: Trial) -> None:
    state = _spoiled(trial)
    trial.box.load(state)
    again = trial.box.save()
    assert again.files == state.files, set(again.files) ^ set(state.files)
    assert again.blobs == state.blobs, "the blobs differ"


def _check_shell_state(trial: Trial) -> None:
    trial.run(_KNOW)
    state = trial.box.save()
    expected = trial.output(_ASK)
    trial.box.load(EMPTY)
    trial.box.load(state)
    assert (seen := trial.output(_ASK)) == expected, f"{seen!r}, it was {expected!r}"


def _check_background(trial: Trial) -> None:
    argument = unique_number()
    trial.run(f"sleep {argument} & (setsid sleep {argument} &)")
    trial.box.load(EMPTY)
    assert (left := trial.count(argument)) == 0, f"{left} processes are left"


def _check_moves(trial: Trial) -> None:
    trial.run(_KNOW)
    _spoiled(trial)
    state = trial.box.save()
    with closing(trial.make_sandbox()) as other:
        other.start()
        other.load(state)
        moved = other.save()
    assert moved.files == state.files, set(moved.files) ^ set(state.files)
    assert moved.shell == state.shell, f"the shell is {moved.shell!r}, it was {state.shell!r}"


def _check_damaged(trial: Trial) -> None:
    good = _state_of("kept", b"kept")
    other = _state_of("new", secrets.token_bytes(8))
    entry = replace(good.files[0], path="../outside")
    damaged = {
        "a blob is missing": replace(other, blobs={}),
        "a blob has another content": replace(other, blobs=dict.fromkeys(other.blobs, b"x")),
        "a path leaves the workspace": replace(good, files=(*good.files, entry)),
        "an entry lies in no folder": replace(
            good, files=(*good.files, replace(entry, path="no/file"))
        ),
    }
    for damage, state in damaged.items():
        must_raise(SnapshotError, damage, trial.box.load, state)
        trial.box.load(good)
        assert trial.box.read_file("kept") == b"kept", f"{damage}: the box is of no use"


def _state_of(path: str, content: bytes) -> SandboxState:
    name = sha256(content)
    return SandboxState((FileEntry(path, "file", 0o644, name),), "", {name: content})


STATE_LAWS: Mapping[str, Check] = {
    LAW_UNDISTURBED: _check_undisturbed,
    LAW_CONTENT: _check_content,
    LAW_MODES: _check_modes,
    LAW_SYMLINKS: _check_symlinks,
    LAW_DELETIONS: _check_deletions,
    LAW_EMPTY_FOLDERS: _check_empty_folders,
    LAW_EQUAL: _check_equal,
    LAW_SHELL_STATE: _check_shell_state,
    LAW_BACKGROUND: _check_background,
    LAW_MOVES: _check_moves,
    LAW_DAMAGED: _check_damaged,
}
