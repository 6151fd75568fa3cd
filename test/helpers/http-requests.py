"""Several requests on one plain HTTP connection, by hand: a line for what came of each case."""
import socket
import sys

host, port, other = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def head(method='GET', name=None, path='/', more=''):
    return f'{method} {path} HTTP/1.1\r\nHost: {name or host}:{port}\r\n{more}\r\n'.encode()


def answers(*parts, last=None):
    """Status codes, in order; `cut` where the connection ends before its answer."""
    s = socket.create_connection((host, port), 10)
    s.settimeout(10)
    found = []
    try:
        for part in parts:
            s.sendall(part)
            data = b''
            while b'from upstream\n' not in data and b'\r\n\r\n' not in data:
                got = s.recv(65536)
                if not got:
                    return ' '.join(found + ['cut'])
                data += got
            found += [line.split(b' ')[1].decode() for line in data.split(b'\n') if line.startswith(b'HTTP/1.1 ')]
        if last is not None:
            s.sendall(last)
            found.append(s.recv(100).decode())
    except (ConnectionResetError, BrokenPipeError):
        found.append('cut')
    return ' '.join(found)


chunked = 'Transfer-Encoding: chunked\r\n'
smuggled = head(name=other, path='/smuggled')
print('kept', answers(head(), head(), head('POST', more='Content-Length: 3\r\n') + b'abc', head()))
print('chunks', answers(head('POST', more=chunked) + b'%x\r\n%s\r\n0\r\n\r\n' % (len(smuggled), smuggled), head()))
print('second', answers(head(), smuggled))
print('pipelined', answers(head() + smuggled, b''))
print('after-body', answers(head('POST', more='Content-Length: 3\r\n') + b'abc' + smuggled, b''))
print('after-chunks', answers(head('POST', more=chunked) + b'1\r\nx\r\n0\r\n\r\n' + smuggled, b''))
print('both', answers(head('POST', more='Content-Length: 3\r\n' + chunked) + b'0\r\n\r\n'))
print('lf-chunk', answers(head('POST', more=chunked) + b'1\nx\r\n0\r\n\r\n'))
print('garbage', answers(head(), b'\x16\x03\x01\x00\x00'))
print('upgrade', answers(head(more='Connection: Upgrade\r\nUpgrade: websocket\r\n'), last=smuggled)[:20])
print('refused-upgrade', answers(head(more='Connection: Upgrade\r\nUpgrade: h2c\r\n'), smuggled))
