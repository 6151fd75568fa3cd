"""What an agent tries with a brokered socket; one word per line of output."""
import array
import ctypes
import fcntl
import os
import socket
import struct
import sys

path = sys.argv[1]


def dial():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(60)
    s.connect(path)
    return s


def answer(s, line):
    try:
        s.sendall(line)
        return s.recv(65536)
    except (BrokenPipeError, ConnectionResetError):
        return b''


try:
    first = dial()
except OSError as error:
    sys.exit(print(type(error).__name__))
print('echo', answer(first, b'hello\n') == b'hello\n')
print('inode', os.stat(path).st_ino)


def through_peer(s):
    """A handle of the process at the other end, which is none of ours: what can be had by it?"""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        (peer,) = struct.unpack('i', s.getsockopt(socket.SOL_SOCKET, 77, 4))  # SO_PEERPIDFD, Linux 6.5
    except OSError:
        return []
    had = [f'descriptor {fd}' for fd in range(16) if libc.syscall(438, peer, fd, 0) >= 0]  # pidfd_getfd
    had += [f'namespace {flag:x}' for flag in (0x40000000, 0x20000, 0x10000000) if libc.setns(peer, flag) == 0]
    had += ['signal'] if libc.syscall(424, peer, 0, None, 0) == 0 else []  # pidfd_send_signal
    for request in range(0xFF01, 0xFF0B):  # PIDFD_GET_…_NAMESPACE
        try:
            had.append(f'ioctl {fcntl.ioctl(peer, request)}')
        except OSError:
            pass
    return had


print('peer', through_peer(first))

whole = dial()
sent = b'x' * 3_000_000
got = b''
whole.setblocking(False)
import select
at = 0
while len(got) < len(sent):
    readable, writable, _ = select.select([whole], [whole] if at < len(sent) else [], [], 10)
    if readable:
        got += whole.recv(1 << 20)
    if writable:
        at += whole.send(sent[at:at + (1 << 16)])
print('bulk', got == sent)
whole.setblocking(True)
whole.shutdown(socket.SHUT_WR)
print('half-close', whole.recv(10) == b'')

push = dial()
fds = array.array('i', [os.open('/etc/passwd', os.O_RDONLY)])
push.sendmsg([b'take\n'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
try:
    print('push', push.recv(100))
except ConnectionResetError:
    print('push', b'')

pull = dial()
pull.sendall(b'give\n')
try:
    data, control, _, _ = pull.recvmsg(100, socket.CMSG_SPACE(64))
except ConnectionResetError:
    data, control = b'', []
print('pull', data, len(control))
print('taken', answer(dial(), b'took?\n'))
