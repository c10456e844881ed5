"""Ends while its last sum with another process is under way, which joins in a second later.

``torchrun --nproc_per_node=2 late_process.py``.
"""

import sys
import time

import torch
import torch.distributed

from pivot_agents.processes import Processes

processes = Processes.current(torch.device("cpu"))
assert processes.gather(processes.rank) == [0, 1]
if processes.rank == 0:
    time.sleep(1)
torch.distributed.all_reduce(torch.ones(3), async_op=True)
sys.stdout.write("ends\n")
