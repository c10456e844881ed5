"""Ends while its last sum with another process is under way, which joins in a second later.

``torchrun --nproc_per_node=2 late_process.py``; prints the threads that are left at the exit.
"""

import atexit
import os
import time
from pathlib import Path

import torch
import torch.distributed

from pivot_agents.processes import Processes


def print_threads():
    """Runs after what was registered later."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    os.write(1, f"left: {' '.join(sorted(names))}\n".encode())


atexit.register(print_threads)
processes = Processes.current(torch.device("cpu"))
assert processes.gather(processes.rank) == [0, 1]
if processes.rank == 0:
    time.sleep(1)
torch.distributed.all_reduce(torch.ones(3), async_op=True)
