"""Run a program that is not trusted in a process of its own, with limits.

The limits stop endless loops, memory that grows, stray processes and files. They are no wall against malice: the
program runs as the same user. Run it in a container for that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

__all__ = ["check"]

MEMORY = 4 << 30  # bytes of address space
FILE = 64 << 20  # bytes of one written file

# The limits are set inside the new process, before the program is read. The outcome goes through a pipe that is closed
# to the program's own children, under a mark that only the runner knows, so that printing it proves nothing.
RUNNER = """
import os, resource, sys
channel, seconds, memory, size = map(int, sys.argv[1:5])
mark = sys.stdin.readline().strip()
source = sys.stdin.read()
for what, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, size),
                    (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64)):
    hard = resource.getrlimit(what)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))
sys.stdin = open(os.devnull)
sys.stdout = sys.stderr = open(os.devnull, "w")
def report(text, channel=channel, write=os.write, mark=mark):
    write(channel, (mark + text).encode("utf-8", "replace")[:4000])
del sys.argv[1:]
try:
    exec(compile(source, "<program>", "exec"), {"__name__": "__main__"})
except BaseException as error:
    report("failed: " + (str(error) or type(error).__name__))
else:
    report("passed")
os._exit(0)
"""


def check(program: str, timeout: float) -> str:
    """Run a program.

    Args:
        program: Python source.
        timeout: seconds that it may take.

    Returns:
        ``"passed"``, ``"timed out"``, or ``"failed: "`` with the error's text.

    Example:
        >>> check("assert 1 + 1 == 3, 'wrong'", timeout=5)
        'failed: wrong'
    """
    mark = os.urandom(16).hex()
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="enfold-program-") as folder:
        reading, writing = os.pipe()
        try:
            limits = [str(writing), str(int(timeout) + 1), str(MEMORY), str(FILE)]
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", RUNNER, *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={**environment, "HOME": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1"},
                pass_fds=(writing,),
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        try:
            late = False
            try:
                process.communicate(f"{mark}\n{program}".encode("utf-8", "replace"), timeout=timeout)
            except subprocess.TimeoutExpired:
                late = True
            _end(process)
            if late:
                return "timed out"
            os.set_blocking(reading, False)
            try:
                said = os.read(reading, 8192).decode("utf-8", "replace")
            except BlockingIOError:  # a child that outlived the program still holds the pipe
                said = ""
        finally:
            os.close(reading)
            _end(process)
    if said.startswith(mark):
        return said[len(mark) :]
    if process.returncode == -signal.SIGXCPU:
        return "timed out"
    return f"failed: the process ended with {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()
