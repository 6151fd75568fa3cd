#!/usr/bin/python3
"""Runs a command where the kernel takes rungs of the network gate away.

    without-rungs.py nft|all|clone3 COMMAND…

nft: no netfilter, as on a kernel without nfnetlink; all: no seccomp listener
either, as below another one; clone3: not that call, as in many containers. A
filter of its own refuses them.
"""
import ctypes
import os
import struct
import sys

AF_NETLINK, NETLINK_NETFILTER, NEW_LISTENER = 16, 12, 8
EINVAL, ENOSYS, EPROTONOSUPPORT = 22, 38, 93
CLONE3 = 435
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
SOCKET, SECCOMP = {"x86_64": (41, 317), "aarch64": (198, 277)}[os.uname().machine]
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def argument(n):
    return 16 + 8 * n


# code, true, false, operand: a jump passes over so many lines
NFT = [
    (LOAD, 0, 0, 0), (EQUAL, 0, 5, SOCKET),
    (LOAD, 0, 0, argument(0)), (EQUAL, 0, 3, AF_NETLINK),
    (LOAD, 0, 0, argument(2)), (EQUAL, 0, 1, NETLINK_NETFILTER),
    (RETURN, 0, 0, ERRNO | EPROTONOSUPPORT),
]
LISTENER = [
    (LOAD, 0, 0, 0), (EQUAL, 0, 3, SECCOMP),
    (LOAD, 0, 0, argument(1)), (ANY_BIT, 0, 1, NEW_LISTENER),
    (RETURN, 0, 0, ERRNO | EINVAL),
]

NO_CLONE3 = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | ENOSYS)]

code = NO_CLONE3 if sys.argv[1] == "clone3" else NFT + (LISTENER if sys.argv[1] == "all" else [])
code = code + [(RETURN, 0, 0, ALLOW)]
buffer = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, program, 0, 0):
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[2], sys.argv[2:])
