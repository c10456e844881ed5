"""The program that runs inside a box as its first process; stdlib only, Python 3.9 or newer.

It is started by path, imports nothing of the project but this folder, and serves one host over
one framed stream.

frames.py      messages: a JSON header and raw blobs
namespaces.py  the launcher: from a plain process to the first process of an isolated box
container.py   the same, where an engine has made a container
box.py         what the agent knows of its box: paths, users, limits
guard.py       what is taken from every process that runs commands
landlock.py    which paths they may use
seccomp.py     which system calls they may make; syscalls.py has the numbers
processes.py   starting, listing, freezing and ending processes
holders.py     files that processes hold, which may change without a sign of it
output.py      what a command printed, bounded
watch.py       in which folders of the workspace something has happened
listing.py     what is known of the workspace
scanner.py     what the workspace holds
tree.py        the workspace as a whole: loading it
bounds.py      how much a saved workspace may hold
removal.py     removing folders, however deep
blobs.py       the file contents that the agent remembers
files.py       single files of the workspace
bash.py        one bash process that evaluates requests
shell.py       the persistent bash, which outlives its process
shell_state.py the saved state of a bash
runner.py      the warm interpreter that pytest runs are forked from
warm.py        the program of that interpreter, with code_cache.py and
               warm_up_tests.py beside it
server.py      the loop that answers requests
"""
