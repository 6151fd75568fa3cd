"""Several requests on one plain HTTP connection, by hand: a line for what came of each case."""
import re
import socket
import sys

host, port, other = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def head(method='GET', name=None, path='/', more=''):
    return f'{method} {path} HTTP/1.1\r\nHost: {name or host}:{port}\r\n{more}\r\n'.encode()


def whole(data):
    """Where the first answer ends, or None while some of it is missing."""
    headers, blank, body = data.partition(b'\r\n\r\n')
    length = re.search(rb'(?im)^content-length: *(\d+)', headers)
    size = int(length[1]) if length else 0
    return len(headers) + len(blank) + size if blank and len(body) >= size else None


def answers(*parts, last=None):
    """Status codes, in order; `cut` where the connection ends before its answer."""
    s = socket.create_connection((host, port), 60)
    s.settimeout(60)
    found = []
    data = b''
    try:
        for part in parts:
            s.sendall(part)
            # Headers and body come in as many pieces as they like.
            while (end := whole(data)) is None:
                got = s.recv(65536)
                if not got:
                    return ' '.join(found + ['cut'])
                data += got
            found.append(data.split(b' ', 2)[1].decode())
            data = data[end:]
        if last is not None:
            s.sendall(last)
            while len(data) < len('GET /smuggled HT'):
                data += s.recv(100)
            found.append(data.decode())
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
