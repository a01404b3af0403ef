"""Joining and leaving a group of processes: what a restart reads, and what runs while the interpreter ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from processes import together

# The first attempt ends badly when both have met; in the second one process comes late, so that the other would read
# the address at which it listened in the first.
RESTARTED = """
import os, sys, time
attempt, rank = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["RANK"]
if (attempt, rank) == ("1", "1"):
    time.sleep(1)
import torch
from enfold.accelerate import PartialState
state = PartialState(cpu=True)
state.wait_for_everyone()
if attempt == "0":
    os._exit(3)
state.print("met again")
state.destroy_process_group()
"""


def test_a_restarted_process_does_not_look_where_its_sibling_was(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(RESTARTED)
    assert "met again" in together(tmp_path / "script.py", restarts=1).stdout


# A thread of gloo's is at work, now and then needing the interpreter, when the program has come to its end; a holder
# of the group, such as DistributedDataParallel, keeps `destroy_process_group` from waiting for it. One process each.
LEAVING = """
import os, sys, time, torch
torch.set_num_threads(1)
os.environ.update(RANK="0", WORLD_SIZE="1")
from enfold.accelerate.groups import join_group, leave_group
for how in ("leaves", "destroys", "forgets"):
    child = os.fork()
    if not child:
        break
    print(how, os.waitpid(child, 0)[1])
else:
    sys.exit()
join_group("gloo", init_method=f"file://{sys.argv[1]}/{how}")
held = torch.distributed.group.WORLD
def work(future):
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        torch.ones(2000, 200).sum()  # gives up the interpreter's lock and takes it again
torch.distributed.all_reduce(torch.ones(2), async_op=True).get_future().add_done_callback(work)
if how == "leaves":
    leave_group()
elif how == "destroys":
    torch.distributed.destroy_process_group()
"""


def test_a_process_ends_only_when_gloo_needs_its_interpreter_no_more(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", "-u", "-c", LEAVING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["leaves 0", "destroys 0", "forgets 0"], done.stderr


# What a fork inherits, and nothing refers to any more: its end belongs to the process that made it.
INHERITED = """
import gc, os
gc.disable()
from enfold.accelerate import Accelerator, debug_launcher

class Made:
    def __init__(self):
        self.own, self.by = self, os.getpid()

    def __del__(self):
        if self.by != os.getpid():
            os._exit(11)

def train():
    Accelerator(cpu=True).wait_for_everyone()

Made()
debug_launcher(train, num_processes=2)
print("all came back")
"""


def test_processes_that_are_forked_collect_nothing_of_their_parents(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(INHERITED)
    ran = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and "all came back" in ran.stdout, ran.stderr[-2000:]
