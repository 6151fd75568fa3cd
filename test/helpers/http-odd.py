#!/usr/bin/python3
"""Says odd requests to NAME:PORT, one connection each: COUNT of them, made from SEED.

    http-odd.py NAME PORT SEED COUNT

What hides in them is a request for another host, where one reader sees a body,
a header or nothing, and another a request.
"""
import random
import socket
import sys
import threading

NAME, PORT, SEED, COUNT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
HOST = f"{NAME}:{PORT}"
OTHER = "GET /hidden HTTP/1.1\r\nHost: other.test\r\n\r\n"
SIZE = len(OTHER)
CHUNK = f"{SIZE:x}\r\n{OTHER}\r\n"

BEFORE = ["\r\n", "\n", " ", "\t", "\0"]
METHODS = ["POST", "PUT", "HEAD", "OPTIONS", "TRACE", "FOO", "get", "M-SEARCH", "MERGE", "LINK", "PURGE"]
BLANKS = ["\t", "  ", "\v", "\xa0", "\x85", "\x1f"]
TARGETS = ["*", "http://other.test/", "HTTP://other.test/", "http:/other.test", "other.test:80", f"http://{NAME}@other.test/", f"http://{NAME}\\@other.test/", f"http://{NAME}#@other.test/", "?a", "/a b", "", "https://other.test/"]
VERSIONS = [" HTTP/1.0", " HTTP/1.9", " HTTP/0.9", "", " HTTP/2.0", " http/1.1", " HTTP/1.1 ", "\tHTTP/1.1", " HTTP/01.1", " RTSP/1.0", " ICE/1.0", "\xa0HTTP/1.1"]
ENDS = ["\n", "\r", "\r\r\n", "\v\r\n", "\r\n\r\n"]
HOSTS = [
    "Host: other.test", "Host : other.test", f"Host: {HOST}\r\nHost: other.test", f"Host: other.test\r\nHost: {HOST}", "X: y\r\n Host: other.test", f"X: y\r\n\tHost: other.test\r\nHost: {HOST}",
    "Host:\r\n other.test", f"Host: {HOST}\r\n .other.test", f"Host: {NAME}, other.test", f"Host: {NAME}/other", f"Host\0: other.test\r\nHost: {HOST}", f"X: a\rHost: other.test\r\nHost: {HOST}",
    f"X: a\nHost: other.test\nHost: {HOST}", f"Host: {NAME}:80:90", "", f":\r\nHost: {HOST}", f"Host\xa0: other.test\r\nHost: {HOST}",
]
LENGTHS = [f"Content-Length: {text}" for text in ("0", SIZE, f"+{SIZE}", f"0{SIZE}", f"{SIZE}, {SIZE}", f"0, {SIZE}", f"{SIZE}\r\nContent-Length: 0", "-1", "0x10", f"{SIZE} ", f"\r\n {SIZE}", f"{SIZE}\v", "1_0", f"{SIZE}.0", "18446744073709551616", "")] + [f"Content-Length : {SIZE}", f"Content_Length: {SIZE}"]
CODINGS = [f"Transfer-Encoding: {text}" for text in ("chunked", "Chunked", "xchunked", "chunked, identity", "identity, chunked", "identity", "gzip, chunked", "\vchunked", "chunked\0", "\r\n chunked", "chunked\r\nTransfer-Encoding: identity", "chunked;q=1", ",chunked")] + ["Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer_Encoding: chunked", "X: a\nTransfer-Encoding: chunked"]
MORE = ["Connection: close", "Connection: upgrade\r\nUpgrade: websocket", "Connection: upgrade\r\nUpgrade: h2c", "Expect: 100-continue", "X: " + "a" * 8100, "Connection: Host", "Connection: Content-Length"]
BODIES = [
    "", OTHER, CHUNK + "0\r\n\r\n", f"0\r\n\r\n{OTHER}", f"0;x\n\r\n\r\n{OTHER}", f"+{CHUNK}0\r\n\r\n", f"0x{CHUNK}0\r\n\r\n", f"{SIZE:x} \r\n{OTHER}\r\n0\r\n\r\n", f"{SIZE:x}\n{OTHER}\r\n0\r\n\r\n", f"{SIZE:x}\r\n{OTHER}0\r\n\r\n",
    f"10000000000000000\r\n{OTHER}", f"0\r\nHost: other.test\r\n\r\n{OTHER}", f"0\r\n{OTHER}", f"0\n\n{OTHER}", f"-1\r\n{OTHER}", f"5\r\nabc\r\n0\r\n\r\n{OTHER}", f"0\r\n\r\r\n{OTHER}", f"0\r\n X\r\n\r\n{OTHER}",
]


def made(r):
    odd = r.choice([0, 0, 0.03, 0.1, 0.3])

    def mostly(usual, others):
        return r.choice(others) if r.random() < odd else usual

    def end():
        return r.choice(ENDS) if r.random() < odd / 4 else "\r\n"

    framing = r.choice(([], [], [], [LENGTHS], [CODINGS], [LENGTHS, CODINGS]))
    headers = [mostly(f"Host: {HOST}", HOSTS)] + [r.choice(kind) for kind in framing] + [r.choice(MORE) for _ in range(r.choice([0, 0, 1]))]
    r.shuffle(headers)
    line = mostly("", BEFORE) + mostly("GET", METHODS) + mostly(" ", BLANKS) + mostly("/", TARGETS) + mostly(" HTTP/1.1", VERSIONS)
    text = line + end() + "".join(header + end() for header in headers if header) + end() + r.choice(["", r.choice(BODIES)])
    usual = f"GET /usual HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    return (r.choice(["", usual]) + text + r.choice(["", "", usual, usual + OTHER])).encode("latin1")


def say(r):
    data = made(r)
    cuts = sorted(r.randrange(1, len(data)) for _ in range(r.choice([0, 0, 1, 3])))
    with socket.create_connection((NAME, PORT), 60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, stop in zip([0] + cuts, cuts + [len(data)]):
            s.sendall(data[start:stop])
        s.shutdown(socket.SHUT_WR)
        s.settimeout(60)
        while s.recv(65536):
            pass


def some(first):
    for i in range(first, COUNT, 4):
        try:
            say(random.Random(f"{SEED} {i}"))
        except OSError:
            pass  # refused


threads = [threading.Thread(target=some, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("said")
