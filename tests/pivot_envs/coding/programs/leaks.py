"""Look through everything that can be read in the box for lines that nobody may find there.

Gets a JSON file of lines, packages, roots and skipped folders, removes it and itself,
and prints JSON: where lines stand (in files, git objects, archives and bytecode), and where copies
of the packages lie.
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
TEXTS = (".py", ".pyi", ".txt", ".md", ".rst", ".diff", ".patch", ".json", ".jsonl", ".toml")
KINDS = (*TEXTS, ".pyc", ".whl", ".zip", ".egg")


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
        except (ValueError, EOFError, TypeError, SystemError):  # Of another Python version.
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
    for path in (sys.argv[1], __file__):
        os.remove(path)
    lines = {line.encode(): line for line in orders["lines"]}
    found, looked_at = set(), 0
    for name, content in contents(orders["roots"], orders["skipped"]):
        looked_at += 1
        found |= {(name, lines[line]) for line in held(content, lines.keys())}
    copies = list(copies_of(set(orders["packages"])))
    print(json.dumps({"found": sorted(found), "copies": copies, "looked_at": looked_at}))


def held(content, lines):
    """Return the lines that stand in a content; if there are many, only as whole lines."""
    if len(lines) > 50:
        return lines & set(map(bytes.strip, content.split(b"\n")))
    return {line for line in lines if line in content}


def contents(roots, skipped):
    """Yield everything below some folders; outside of the workspace, what may hold code."""
    for root in roots:
        for place, inner, files in os.walk(root):
            left_out = (*SKIPPED, *skipped)
            inner[:] = [name for name in inner if f"{place.rstrip('/')}/{name}" not in left_out]
            for name in files:
                if not place.startswith("/usr") or name.endswith(KINDS):
                    yield from pieces(f"{place}/{name}")
            if ".git" in inner:
                yield from git_pieces(f"{place}/.git")


def copies_of(packages):
    """Yield where folders of the packages' names lie that hold code."""
    for place, inner, files in os.walk("/"):
        inner[:] = [name for name in inner if f"{place.rstrip('/')}/{name}" not in SKIPPED]
        if "__init__.py" in files and "vendor" not in place:
            continue  # A part of another package may have any name.
        for name in inner:
            if name in packages and not place.startswith("/workspace"):
                path = f"{place}/{name}"
                try:
                    if any(each.endswith((".py", ".pyi", ".pyc")) for each in os.listdir(path)):
                        yield path
                except OSError:
                    continue


if __name__ == "__main__":
    main()
