"""The guard's child process: reads requests, extracts, writes replies. Started by `guard`, never by hand.

Channels, all inherited from the parent: stdin carries frames that say how many bytes of Arrow IPC lie in
the shared file; stdout carries replies (header `<QQ`: length, resident bytes; then Arrow IPC); the heartbeat
file holds the page now at work and the CPU time at its start. The process dies with its parent: by
PR_SET_PDEATHSIG on Linux, by the end of stdin elsewhere.
"""

from __future__ import annotations

import gc
import mmap
import os
import signal
import struct
import sys
import time
from typing import BinaryIO

FRAME = struct.Struct("<Q")
REPLY_HEADER = struct.Struct("<QQ")
HEARTBEAT = struct.Struct("<qd")
"""Index of the page at work (-1: none yet), CPU seconds of the process when it was begun."""

IDLE = -1


def main(argv: list[str]) -> int:
    """`argv`: job as JSON, parent's pid, fds of the shared file and the heartbeat, memory limit in bytes (0: none)."""
    job_json, parent, shared_fd, heartbeat_fd, memory = argv[0], *(int(a) for a in argv[1:5])
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the frames

    import pyarrow as pa

    from .page import Extractor, Job

    pa.set_cpu_count(1)
    extractor = Extractor(Job.from_json(job_json))
    # one page through everything: lazy imports and tables count as baseline, not as the first page's
    extractor.row(_WARM_UP, "html", None, None, None)
    gc.collect()
    gc.freeze()  # what is there now stays: no need to walk through it at every full collection
    limit = limit_memory(memory)
    heartbeat = mmap.mmap(heartbeat_fd, HEARTBEAT.size)
    _write(sink, b"", 0)

    shared: mmap.mmap | None = None
    begun = 0.0

    def started(index: int) -> None:
        nonlocal begun
        begun = time.process_time()
        HEARTBEAT.pack_into(heartbeat, 0, index, begun)

    def finished(index: int, reason: str | None) -> None:
        # Near the limit an allocation may have failed inside a library that then went on without it, so such a
        # page counts as out of memory. Only one that took its time or gave nothing is worth the look.
        suspect = reason in ("no_text", "extractor_error") or time.process_time() - begun > 0.05
        if limit and suspect and peak_bytes() > 0.95 * limit:
            os._exit(OUT_OF_MEMORY)

    while True:
        header = source.read(FRAME.size)
        if len(header) < FRAME.size:
            return 0
        (length,) = FRAME.unpack(header)
        if shared is None or length > len(shared):  # it has grown
            shared = mmap.mmap(shared_fd, 0, prot=mmap.PROT_READ)
        requests = pa.ipc.open_stream(pa.py_buffer(memoryview(shared)[:length])).read_next_batch()
        try:
            reply = extractor.batch(requests, started, finished)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        del requests
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, reply.schema) as writer:
            writer.write_batch(reply)
        HEARTBEAT.pack_into(heartbeat, 0, IDLE, 0.0)
        _write(sink, buffer.getvalue(), resident_bytes())


OUT_OF_MEMORY = 86
"""Exit status for "the memory limit was reached"."""

_WARM_UP = (
    b"<html><head><title>A</title></head><body><h1>A</h1><p>One page, so that what is loaded at first use is loaded,"
    b" goes through.</p><p>Its text is long enough for a paragraph.</p></body></html>"
)


def _write(sink: BinaryIO, body: object, resident: int) -> None:
    view = memoryview(body)  # type: ignore[arg-type]
    sink.write(REPLY_HEADER.pack(view.nbytes, resident))
    sink.write(view)
    sink.flush()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent goes (Linux), and go at once if it is gone already."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit_memory(extra: int) -> int:
    """Allow `extra` bytes of address space beyond what is in use now; the limit set, 0 where it can't be."""
    if not extra or sys.platform != "linux":
        return 0
    import resource

    limit = _status("VmSize") + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return limit


def peak_bytes() -> int:
    """Largest address space so far (Linux)."""
    return _status("VmPeak")


def resident_bytes() -> int:
    """Resident memory now, the peak where the system doesn't tell."""
    if sys.platform == "linux":
        return _status("VmRSS")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
