"""Look through everything that can be read in the box for lines that nobody may find there.

Gets a JSON file of ``{"lines": [...], "packages": [...], "roots": [...]}`` and prints JSON: where
lines stand (in files, git objects, archives and bytecode), and where copies of the packages lie.
"""

import json
import marshal
import os
import subprocess
import sys
import zipfile
import zlib

MOST_BYTES = 32 << 20
SKIPPED = ("/proc", "/sys", "/dev")
TEXTS = (".py", ".pyi", ".txt", ".md", ".rst", ".diff", ".patch", ".json", ".jsonl", ".toml", "")


def strings(code, found):
    """Collect the text constants and names of bytecode."""
    for constant in code.co_consts:
        if hasattr(constant, "co_consts"):
            strings(constant, found)
        elif isinstance(constant, str):
            found.append(constant)
    found.extend(code.co_names)
    found.extend(code.co_varnames)


def pieces(path):
    """Yield name and content of everything that a file holds."""
    if path.endswith((".whl", ".zip", ".egg")):
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(TEXTS) and member.file_size < MOST_BYTES:
                        yield f"{path}!{member.filename}", archive.read(member)
        except (OSError, zipfile.BadZipFile):
            return
        return
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES)
    except OSError:
        return
    if path.endswith(".pyc"):
        try:
            found = []
            strings(marshal.loads(content[16:]), found)
            yield path, "\n".join(found).encode("utf-8", "surrogatepass")
        except (ValueError, EOFError, TypeError):
            return
    elif "/.git/objects/" in path and not path.endswith((".pack", ".idx")):
        try:
            yield path, zlib.decompress(content)
        except zlib.error:
            return
    else:
        yield path, content


def git_pieces(folder):
    """Yield the contents of all objects of a repository, packed and unreachable ones too."""
    command = ["git", f"--git-dir={folder}", "-c", "safe.directory=*", "cat-file"]
    options = ["--batch-all-objects", "--batch", "--buffer"]
    run = subprocess.run([*command, *options], capture_output=True, check=False)
    yield f"{folder} (objects)", run.stdout


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        orders = json.load(file)
    lines = {line.encode(): line for line in orders["lines"]}
    # One test for all lines is quicker than one for each.
    probes = {line[:24] for line in lines}
    packages = set(orders["packages"])
    found, copies, looked_at = [], [], 0
    for root in orders["roots"]:
        for place, inner, files in os.walk(root):
            inner[:] = [name for name in inner if f"{place.rstrip('/')}/{name}" not in SKIPPED]
            inside = place.startswith("/workspace")
            copies += [f"{place}/{n}" for n in inner if n in packages and not inside]
            sources = [pieces(f"{place}/{name}") for name in files if inside or name.endswith((*TEXTS[:-1], ".pyc", ".whl", ".zip", ".egg"))]
            if ".git" in inner:
                sources.append(git_pieces(f"{place}/.git"))
            for source in sources:
                for name, content in source:
                    looked_at += 1
                    if any(probe in content for probe in probes):
                        found += [(name, text) for line, text in lines.items() if line in content]
    print(json.dumps({"found": found, "copies": copies, "looked_at": looked_at}))


if __name__ == "__main__":
    main()
