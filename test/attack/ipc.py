#!/usr/bin/python3
"""Sockets of the host, and tries to reach them.

    ipc.py serve TABLE     listens at each place; prints "ready"; ends with its input
    ipc.py reach TABLE     knocks at each; prints one JSON object {name: "reached" or an errno name}

TABLE is a JSON object {name: [kind, path]}, kind one of stream, dgram, seqpacket; a path that begins with @ is abstract.
"""
import errno
import json
import os
import select
import socket
import sys

KINDS = {"stream": socket.SOCK_STREAM, "dgram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}


def address(path):
    return "\0" + path[1:] if path.startswith("@") else path


def listen(kind, path):
    if not path.startswith("@"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, KINDS[kind])
    sock.bind(address(path))
    if kind != "dgram":
        sock.listen(8)
    return sock


def serve(table):
    listening = [listen(kind, path) for kind, path in table.values()]
    print("ready", flush=True)
    while True:
        for sock in select.select([sys.stdin, *listening], [], [])[0]:
            if sock is sys.stdin:
                return
            if sock.type == socket.SOCK_DGRAM:
                sock.recv(64)
            else:
                sock.accept()[0].close()


def knock(kind, path):
    sock = socket.socket(socket.AF_UNIX, KINDS[kind])
    try:
        if kind == "dgram":  # without connect: a filter on connect alone would let it by
            sock.sendto(b"hello", address(path))
        else:
            sock.connect(address(path))
        return "reached"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


if __name__ == "__main__":
    places = json.loads(sys.argv[2])
    if sys.argv[1] == "serve":
        serve(places)
    else:
        print(json.dumps({name: knock(*place) for name, place in places.items()}))
