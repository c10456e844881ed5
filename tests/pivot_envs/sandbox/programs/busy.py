"""Runs in a box in the background: changes the files in ``busy`` without pause.

``log`` grows, ``map`` changes through a mapping, which leaves no new time stamp, and ``kind`` is
now a folder, now a link, now a pipe, now a file, now nothing.
"""

import mmap
import os
import time

os.makedirs("busy", exist_ok=True)
os.chdir("busy")
with open("map", "w+b") as file:
    file.write(b"%09d" % 0)
    file.flush()
    page = mmap.mmap(file.fileno(), 9)
log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
for number in range(10**9):
    page[:] = b"%09d" % number
    os.write(log, b"%d\n" % number)
    os.mkdir("kind")
    os.rmdir("kind")
    os.symlink("nowhere", "kind")
    os.unlink("kind")
    os.mkfifo("kind")
    os.unlink("kind")
    os.close(os.open("kind", os.O_CREAT))
    os.unlink("kind")
    time.sleep(0.0002)
