#!/usr/bin/env python3
"""terminal.py SCRIPT CMD...: runs CMD on a terminal of 24 x 80 and plays the script, lines of: `see TEXT` (wait for it),
`type TEXT` (\\r, \\x10 ... as in Python), `size ROWS COLUMNS`, `signal NUMBER`, `end` (wait for the end). Prints the
screen, the exit status and whether the terminal was put back as it was. Exit status 1: something was not seen."""
import fcntl, os, pty, select, signal, struct, sys, termios, time

def size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

script, command = open(sys.argv[1]).read().splitlines(), sys.argv[2:]
master, slave = pty.openpty()
size(master, 24, 80)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in 0, 1, 2:
        os.dup2(slave, fd)
    os.closerange(3, 1024)
    os.execvp(command[0], command)

screen, at, status, failed = b"", 0, None, False

def more(seconds):
    global screen
    if select.select([master], [], [], seconds)[0]:
        screen += os.read(master, 65536)

for line in script:
    word, _, rest = line.partition(" ")
    text = rest.encode().decode("unicode_escape").encode("latin-1")
    deadline = time.monotonic() + 15
    if word == "see":
        while text not in screen[at:] and time.monotonic() < deadline:
            more(0.1)
        found = screen.find(text, at)
        if found < 0:
            print("not seen:", rest)
            failed = True
            break
        at = found + len(text)
    elif word == "type":
        os.write(master, text)
    elif word == "size":
        size(master, *map(int, rest.split()))
    elif word == "signal":
        os.kill(pid, int(rest))
    elif word == "end":
        while status is None and time.monotonic() < deadline:
            more(0.05)
            done, code = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if done else None
if status is None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
more(0)
print(screen.decode(errors="replace"))
print("status", status)
print("terminal", "as before" if termios.tcgetattr(slave) == before else "changed")
sys.exit(1 if failed else 0)
