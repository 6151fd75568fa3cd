#!/usr/bin/python3
"""Serves views of sandboxes, in a mount namespace of its own: one JSON request a line, one answer a line.

The layer is mounted as the driver does it, for one request: what commits and
the host do to it in between is seen by the next one.
"""
import ctypes
import json
import os
import sys

sys.path.insert(0, os.environ["OPS_DIR"])
sys.dont_write_bytecode = True
import exported  # noqa: E402
from ops import GHOSTS, World, dump, make  # noqa: E402

libc = ctypes.CDLL(None, use_errno=True)
DAC_READ_SEARCH = 2
FAMILIES = {"user": "userxattr", "trusted": "redirect_dir=nofollow"}


def escaped(path):
    return path.replace(b"\\", b"\\\\").replace(b",", b"\\,").replace(b":", b"\\:")


def with_caps(change):
    """Changes the effective capabilities. An overlay acts with those of who mounted it, see driver/overlay.c."""
    header, words = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, words)
    words[0] = change(words[0])
    if libc.capset(header, words) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def mount(layer, at):
    base, top = layer["base"].encode("latin1"), layer["dir"].encode("latin1")
    work = top + b"/serve-work"
    os.makedirs(work, exist_ok=True)
    parts = (FAMILIES[layer["family"]].encode(), escaped(base), escaped(top), escaped(work))
    options = b"index=off,metacopy=off,%s,lowerdir=%s,upperdir=%s/upper,workdir=%s" % parts
    with_caps(lambda caps: caps & ~(1 << DAC_READ_SEARCH))
    failed = libc.mount(b"overlay", at, b"overlay", 0, options) and ctypes.get_errno()
    with_caps(lambda caps: caps | 1 << DAC_READ_SEARCH)
    if failed:
        raise OSError(failed, "mount", options)


def operate(root, seed, count):
    world = World(root, seed, False)
    for _ in range(count):
        world.step()
    return world.log


def answer(request, at):
    verb = request["verb"]
    if verb == "make":
        make(request["root"].encode("latin1"), request["seed"])
        return {}
    if verb == "host":
        root = request["root"].encode("latin1")
        log = operate(root, request["seed"], request["count"])
        return {"log": log, "dump": dump(root)}
    if verb == "exported":
        host, top, product = (request[name].encode("latin1") for name in ("root", "top", "product"))
        log = exported.apply(request["kind"], product, host, top)
        return {"log": log or [], "dump": None if log is None else dump(top)}
    mount(request["layer"], at)
    try:
        root = at + request["rel"].encode("latin1")
        log = operate(root, request["seed"], request["count"])
        GHOSTS.clear()
        return {"log": log, "dump": dump(root), "ghosts": [name.decode("latin1") for name in GHOSTS]}
    finally:
        if libc.umount2(at, 0) != 0:
            raise OSError(ctypes.get_errno(), "umount")


def main():
    os.umask(0o022)
    at = os.fsencode(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), at)), flush=True)


main()
