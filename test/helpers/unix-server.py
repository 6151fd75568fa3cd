"""A host server for tests: echoes a line, sends a descriptor on `give`, says what it got on `took?`."""
import array
import os
import socket
import sys
import threading

path = sys.argv[1]
taken = []
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(path)
os.chmod(path, 0o666)
server.listen(16)


def serve(conn):
    room = socket.CMSG_SPACE(64 * 4)
    while True:
        data, control, _, _ = conn.recvmsg(65536, room)
        taken.extend(control)
        if not data:
            break
        if data == b'give\n':
            fds = array.array('i', [os.open('/etc/passwd', os.O_RDONLY)])
            conn.sendmsg([b'here\n'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        elif data == b'took?\n':
            conn.sendall(b'%d\n' % len(taken))
        else:
            conn.sendall(data)
    conn.close()


print('listening', flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
