#!/usr/bin/env python3
"""kill-at.py N CMD...: runs CMD and kills it (SIGKILL) as it makes its Nth system call after its exec, before the kernel
does it; what it forks goes on. Its status is CMD's own, or 137 when it came to that call."""
import ctypes
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
TRACEME, SYSCALL, SETOPTIONS = 0, 24, 0x4200
SYSGOOD, TRACEEXEC, EXITKILL = 1, 0x10, 0x100000


def ptrace(request, pid, data=0):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


number = int(sys.argv[1])
child = os.fork()
if not child:
    ptrace(TRACEME, 0)
    os.execvp(sys.argv[2], sys.argv[2:])
os.waitpid(child, 0)  # the exec
ptrace(SETOPTIONS, child, SYSGOOD | TRACEEXEC | EXITKILL)
stops, deliver = 0, 0
while True:
    try:
        ptrace(SYSCALL, child, deliver)
    except ProcessLookupError:
        pass  # it is dead
    _, status = os.waitpid(child, 0)
    if not os.WIFSTOPPED(status):
        code = os.waitstatus_to_exitcode(status)
        sys.exit(code if code >= 0 else 128 - code)
    call = os.WSTOPSIG(status) == signal.SIGTRAP | 0x80
    deliver = 0 if call or os.WSTOPSIG(status) == signal.SIGTRAP else os.WSTOPSIG(status)
    if call:
        stops += 1
        if stops == 2 * number:  # the first stop is the exec's end, then each call has two: 2N is the entry to the Nth
            os.kill(child, signal.SIGKILL)
