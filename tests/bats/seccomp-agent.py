# A seccomp agent: takes one container process state with its listener, answers mkdir(2) by ENOTUNIQ (76) and lets all
# other calls go on.  seccomp-agent.py SOCKET OUT: writes the state as it came to OUT; "SOCKET.ready" when it listens.
import array, fcntl, json, os, select, socket, struct, sys

path, out = sys.argv[1:3]
RECV, SEND = 0xC0502100, 0xC0182101
ENOTUNIQ, CONTINUE, MKDIR, MKDIRAT = 76, 1, (83, 1030), (258, 34)

server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
if os.path.exists(path):
    os.unlink(path)
server.bind(path)
os.chmod(path, 0o777)
server.listen(8)
open(path + ".ready", "w").close()
fds, state = [], b""
conn, _ = server.accept()
while True:
    data, ancillary, _, _ = conn.recvmsg(65536, socket.CMSG_SPACE(16))
    for level, kind, bytes_ in ancillary:
        got = array.array("i")
        got.frombytes(bytes_)
        fds += got
    if not data:
        break
    state += data
with open(out + ".new", "wb") as f:
    f.write(state)
os.rename(out + ".new", out)
assert len(fds) == len(json.loads(state)["fds"]) == 1, (fds, state)
poll = select.poll()
poll.register(fds[0], select.POLLIN)
while True:
    if any(event & select.POLLHUP for _, event in poll.poll()):
        break
    buf = bytearray(80)
    try:
        fcntl.ioctl(fds[0], RECV, buf)
    except OSError:
        continue # it died meanwhile
    id_, pid, flags, nr = struct.unpack_from("<QIIi", buf)
    refuse = nr in MKDIR or nr in MKDIRAT
    answer = struct.pack("<QqiI", id_, 0, -ENOTUNIQ if refuse else 0, 0 if refuse else CONTINUE)
    try:
        fcntl.ioctl(fds[0], SEND, answer)
    except OSError:
        pass
