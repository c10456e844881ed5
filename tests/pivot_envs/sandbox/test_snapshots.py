import dataclasses
import json
import shlex
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pivot_envs.errors import SnapshotError
from pivot_envs.sandbox.base import FileEntry, Sandbox, SandboxState
from pivot_envs.snapshot import sha256

EMPTY = SandboxState((), "", {})


def state_of(files: dict[str, bytes]) -> SandboxState:
    folders = {path.rpartition("/")[0] for path in files} - {""}
    entries = [FileEntry(path, "directory", 0o755, "") for path in folders]
    entries += [FileEntry(path, "file", 0o644, sha256(blob)) for path, blob in files.items()]
    blobs = {sha256(blob): blob for blob in files.values()}
    return SandboxState(tuple(sorted(entries, key=lambda entry: entry.path)), "", blobs)


def test_a_new_box_has_the_empty_state(box: Sandbox) -> None:
    assert box.save() == EMPTY


def test_every_kind_of_entry_comes_back(box: Sandbox) -> None:
    box.run(
        "echo text > file; : > empty; mkdir -p folder/bare locked; echo in > folder/in; "
        "chmod 600 file; printf 'x\\0y\\377' > binary; chmod 755 binary; chmod 2775 folder; "
        "ln -s file link; ln -s /nowhere dangling; touch 'two words' $'line\\nbreak' $'b\\377d'; "
        "truncate -s 1M sparse; echo hidden > .hidden; chmod 000 locked; chmod 400 empty",
        timeout_s=5,
    )
    state = box.save()
    listing = box.run("ls -lAR --time-style=+ | grep -v total", timeout_s=5).output
    box.run(
        "chmod 700 locked; rm -rf * .hidden; mkdir file; echo new > link; ln -s / folder",
        timeout_s=5,
    )
    box.load(state)
    assert box.run("ls -lAR --time-style=+ | grep -v total", timeout_s=5).output == listing
    assert dataclasses.replace(box.save(), shell="") == dataclasses.replace(state, shell="")
    by_path = {entry.path: entry for entry in state.files}
    assert by_path["folder"] == FileEntry("folder", "directory", 0o2775, "")
    assert by_path["link"] == FileEntry("link", "symlink", 0, "file")
    assert by_path["empty"].mode == 0o400
    assert state.blobs[by_path["binary"].content] == b"x\0y\xff"
    assert json.loads(json.dumps([dataclasses.asdict(entry) for entry in state.files]))


def test_the_mode_of_the_workspace_itself_comes_back(box: Sandbox) -> None:
    box.run("chmod 700 .", timeout_s=5)
    state = box.save()
    box.load(EMPTY)
    assert box.run("stat -c %a .", timeout_s=5).output == "755\n"
    box.load(state)
    assert box.run("stat -c %a .", timeout_s=5).output == "700\n"


def test_the_shell_comes_back_with_all_that_it_knows(box: Sandbox) -> None:
    commands = """
        mkdir -p deep/er; cd deep; cd er
        umask 027; set -o noglob; shopt -s nullglob extglob; alias ll='ls -l'
        plain='a  b'; export EXPORTED=$'line\\nbreak "quoted" $HOME `x` \\\\'; declare -i number=5
        list=(one 'two words' "tab\there"); declare -A map=([key]='value "x"' ['a b']=c)
        declare -r FIXED=1; unset PAGER; trap 'echo bye "$plain"' USR1
        greet() { case $1 in +([a-z])) echo "hi $1" ;; *) cat <<END
# exit status: 9
END
        ;; esac; }; shout() { echo "HEY $1"; }; export -f shout; set -- first 'second one'; (exit 3)
    """
    probe = (
        'echo $?; pwd; umask; echo *; shopt nullglob extglob; alias; printf "%s|" "$plain" '
        '"$EXPORTED" "${list[@]}" "${map[key]}" "${map[a b]}" "$@" "${PAGER-unset}" "$OLDPWD"; '
        "declare -p number FIXED EXPORTED; trap -p; greet abc; greet 9; bash -c 'shout there'; cd -"
    )
    assert box.run(commands, timeout_s=5).exit_code == 3
    state = box.save()
    assert box.save() == state
    expected = box.run(probe, timeout_s=5)
    box.load(EMPTY)
    box.load(state)
    assert box.save() == state
    assert box.run(probe, timeout_s=5) == expected
    assert expected.exit_code == 0
    assert expected.output.startswith("3\n/workspace/deep/er\n0027\n")
    assert "hi abc" in expected.output
    assert "HEY there" in expected.output


def test_a_state_moves_to_another_box(box: Sandbox, make_box: Callable[[], Sandbox]) -> None:
    box.run("echo text > a; X=1; cd /tmp", timeout_s=5)
    state = box.save()
    with make_box() as other:
        other.load(state)
        assert other.run("pwd; echo $X", timeout_s=5).output == "/tmp\n1\n"
        assert other.read_file("a") == b"text\n"
        assert other.save() == dataclasses.replace(state, shell=other.save().shell)


def test_a_load_opens_scratch_folders_that_commands_closed(box: Sandbox) -> None:
    box.run("chmod 000 $TMPDIR /dev/shm", timeout_s=5)
    box.load(EMPTY)
    assert box.run("rm $(mktemp)", timeout_s=5).output == ""


def test_a_load_ends_background_processes_and_empties_the_scratch_folder(
    box: Sandbox, list_scratch: str
) -> None:
    box.run("setsid sleep 41 & sleep 42 & touch $TMPDIR/left; mkdir $TMPDIR/over", timeout_s=5)
    box.load(EMPTY)
    result = box.run(f"pgrep -cU $(id -u) sleep; {list_scratch}", timeout_s=5)
    assert result.output == "0\n"


def test_saving_disturbs_nothing(box: Sandbox) -> None:
    box.run("sleep 43 & X=1", timeout_s=5)
    box.save()
    assert box.run("jobs -r | wc -l; echo $X", timeout_s=5).output == "1\n1\n"


def test_edits_of_equal_size_within_the_same_clock_tick_are_seen(box: Sandbox) -> None:
    for number in range(100):
        box.write_file("a", b"%02d" % number)
        state = box.save()
        assert state.blobs[state.files[0].content] == b"%02d" % number


def test_an_unchanged_file_is_not_read_again_and_shares_its_bytes(box: Sandbox) -> None:
    box.write_file("a", b"content")
    time.sleep(0.05)
    first, second = box.save(), box.save()
    name = first.files[0].content
    assert first.blobs[name] is second.blobs[name]
    assert first.files[0] is second.files[0]


def test_a_load_leaves_equal_files_alone(box: Sandbox) -> None:
    box.load(state_of({"same": b"1", "folder/other": b"2"}))
    state = box.save()
    stamp = box.run("stat -c '%i %y' same folder", timeout_s=5).output
    box.write_file("folder/other", b"3")
    box.load(state)
    assert (
        box.run("stat -c '%i %y' same folder", timeout_s=5).output.splitlines()[0]
        == (stamp.splitlines()[0])
    )


def test_a_hard_link_does_not_carry_a_load_to_its_other_name(box: Sandbox) -> None:
    state = state_of({"a": b"old", "b": b"new"})
    box.load(state)
    box.run("ln -f b a", timeout_s=5)
    box.load(state)
    assert (box.read_file("a"), box.read_file("b")) == (b"old", b"new")


def test_names_of_one_file_become_files_of_their_own(box: Sandbox) -> None:
    box.run("echo old > a; cp a b; chmod 600 b", timeout_s=5)
    apart = box.save()
    box.run("ln -f a b", timeout_s=5)
    linked = box.save()
    box.load(apart)
    assert box.save() == apart
    for _ in range(2):
        box.load(linked)
        box.run("echo new >> a", timeout_s=5)
        assert box.read_file("b") == b"old\n"
        box.run("rm a; ln b a", timeout_s=5)


def test_writes_through_a_mapping_are_saved_though_they_leave_no_time_stamp(box: Sandbox) -> None:
    program = (
        "import mmap; file = open('a', 'r+b'); page = mmap.mmap(file.fileno(), 0); "
        "[page.__setitem__(0, ord(input())) for _ in range(9)]"
    )
    box.run("echo 0 > a; mkfifo $TMPDIR/pipe", timeout_s=5)
    box.run(f'python3 -I -S -c "{program}" < $TMPDIR/pipe & exec 7> $TMPDIR/pipe', timeout_s=5)
    for number in range(1, 9):
        box.run(f"echo {number} >&7; until grep -q {number} a; do sleep 0.01; done", timeout_s=5)
        time.sleep(0.03)
        state = box.save()
        by_path = {entry.path: state.blobs[entry.content] for entry in state.files}
        assert by_path == {"a": b"%d\n" % number}
    box.run("echo 9 >&7; wait", timeout_s=5)
    assert box.save() != state
    box.load(state)
    assert box.read_file("a") == b"8\n"


def test_entries_that_turn_into_others_all_the_time_do_not_disturb_a_save(box: Sandbox) -> None:
    program = (
        "import os\nwhile True:\n"
        " os.symlink('b', 't'); os.rename('t', 'a')\n"
        " os.close(os.open('t', os.O_CREAT)); os.rename('t', 'a')\n"
    )
    box.run(f"python3 -I -S -c {shlex.quote(program)} & sleep 0.1", timeout_s=5)
    for _ in range(200):
        assert {entry.path for entry in box.save().files} <= {"a", "t"}


def test_a_missing_blob_is_refused_before_anything_changes(box: Sandbox) -> None:
    box.write_file("kept", b"1")
    with pytest.raises(SnapshotError, match="lacks"):
        box.load(dataclasses.replace(state_of({"a": b"never seen"}), blobs={}))
    assert box.read_file("kept") == b"1"


def test_a_blob_that_does_not_hash_to_its_name_is_refused(box: Sandbox) -> None:
    state = state_of({"a": b"the original"})
    with pytest.raises(SnapshotError, match="differs"):
        box.load(dataclasses.replace(state, blobs=dict.fromkeys(state.blobs, b"another")))
    box.load(state)
    assert box.save() == state


@pytest.mark.parametrize("shell", ["exit 3", "kill -9 $$"])
def test_a_shell_that_does_not_come_back_is_refused(box: Sandbox, shell: str) -> None:
    with pytest.raises(SnapshotError, match="shell"):
        box.load(dataclasses.replace(EMPTY, shell=shell))
    assert box.run("echo on", timeout_s=5).output == "on\n"


@pytest.mark.parametrize(
    "path",
    ["../out", "/etc/out", "a/../../out", "missing/file", "file/below", "", "a//b", "link/x"],
)
def test_a_path_that_leaves_the_workspace_is_refused(
    box: Sandbox, path: str, list_scratch: str
) -> None:
    good = state_of({"file": b"1"})
    link = FileEntry("link", "symlink", 0, "/tmp")
    entry = FileEntry(path, "file", 0o644, sha256(b"1"))
    with pytest.raises(SnapshotError):
        box.load(dataclasses.replace(good, files=(*good.files, link, entry)))
    box.load(good)
    assert box.run(list_scratch, timeout_s=5).output == ""


def test_pipes_and_sockets_are_left_out_and_removed_by_a_load(box: Sandbox) -> None:
    box.run("mkfifo pipe", timeout_s=5)
    assert box.save() == EMPTY
    box.load(EMPTY)
    assert box.run("ls", timeout_s=5).output == ""


NAMES = st.sampled_from(["a", "b", "c d", "ä", ".x"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.one_of(
    st.binary(max_size=40).map(lambda blob: ("file", blob)),
    st.sampled_from(["a", "../b", "/workspace/c d"]).map(lambda target: ("symlink", target)),
    st.just(("directory", "")),
)


@st.composite
def trees(draw: st.DrawFn) -> SandboxState:
    entries: dict[str, FileEntry] = {}
    blobs: dict[str, bytes] = {}
    for path, (kind, content) in draw(st.dictionaries(PATHS, CONTENTS, max_size=8)).items():
        parents = [path[:index] for index, letter in enumerate(path) if letter == "/"]
        taken = [entries[parent].kind for parent in parents if parent in entries]
        if path in entries or any(kind != "directory" for kind in taken):
            continue
        for parent in parents:
            entries.setdefault(parent, FileEntry(parent, "directory", 0o755, ""))
        if kind == "file":
            mode = draw(st.sampled_from([0o644, 0o755, 0o600, 0o444]))
            blobs[sha256(content)] = content
            entries[path] = FileEntry(path, "file", mode, sha256(content))
        else:
            mode = draw(st.sampled_from([0o755, 0o700, 0o500])) if kind == "directory" else 0
            entries[path] = FileEntry(path, kind, mode, content)
    return SandboxState(tuple(entries[path] for path in sorted(entries)), "", blobs)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(states=st.lists(trees(), min_size=1, max_size=4))
def test_any_tree_comes_back_after_any_other(box: Sandbox, states: list[SandboxState]) -> None:
    for state in (*states, states[0]):
        box.load(state)
        assert box.save() == state
