#!/usr/bin/python3
"""Seeded random file operations, the same natively and in a sandbox.

    ops.py make DIR SEED…   one tree per seed: DIR/s<seed>
    ops.py run  DIR SEED…   the operations on each; prints {log, dump} as JSON
    ops.py dump DIR         prints {path: entry} as JSON

With TIMES=1 entries have the times that were set: `make` and `utime` set times
long gone, and what is written after that is of "now".

Every choice depends on the seed and on the sorted listing only, so two runs
that see the same tree do the same. A refused operation is logged by its errno
and is part of what is compared. A directory rename that the kernel refuses
with EXDEV is done as mv(1) would do it.
"""
import ctypes
import errno
import hashlib
import json
import mmap
import os
import random
import stat
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
NAMES = ["a", "b", "c", "d", "e e", "f\nnl", "-g", "h'q\"", "ü", ".hid", "x" * 200]
BYTE_NAMES = [name.encode() for name in NAMES] + [b"raw\xff\xfe"]
ATTRIBUTES = [b"user.op0", b"user.op1", b"user.op2"]
ACL, DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
# Set times end here, in ns; it is later than that.
LONG_AGO = 1_000_000_000_000_000_000
FILE_MODES = [0o600, 0o640, 0o644, 0o755, 0o444, 0o400]
# Whiteouts that a directory lists: what is in the layer below a directory that the host removed.
GHOSTS = []
DIR_MODES = [0o700, 0o750, 0o755, 0o711]


def listing(root):
    """All entries below root, sorted, as (relative path, lstat)."""
    found = []

    def walk(rel):
        path = os.path.join(root, rel) if rel else root
        try:
            names = sorted(os.listdir(path))
        except OSError:
            return
        for name in names:
            child = os.path.join(rel, name) if rel else name
            try:
                st = os.lstat(os.path.join(root, child))
            except FileNotFoundError:
                GHOSTS.append(child)
                continue
            found.append((child, st))
            if stat.S_ISDIR(st.st_mode):
                walk(child)

    walk(b"")
    return found


def dump(root, times=False):
    """What a user can see of a tree; hard links as groups of names."""
    entries, groups = {}, {}
    for rel, st in listing(root):
        path = os.path.join(root, rel)
        entry = {"mode": oct(stat.S_IMODE(st.st_mode)), "uid": st.st_uid, "gid": st.st_gid}
        if stat.S_ISREG(st.st_mode):
            with open(path, "rb") as file:
                data = file.read()
            entry.update(type="file", size=len(data), sha=hashlib.sha256(data).hexdigest()[:16])
            if st.st_nlink > 1:
                groups.setdefault(st.st_ino, []).append(rel)
        elif stat.S_ISDIR(st.st_mode):
            entry.update(type="dir")
        elif stat.S_ISLNK(st.st_mode):
            entry.update(type="symlink", target=os.readlink(path).decode("latin1"))
        elif stat.S_ISFIFO(st.st_mode):
            entry.update(type="fifo")
        else:
            entry.update(type="other", rdev=st.st_rdev)
        try:
            names = sorted(os.listxattr(path, follow_symlinks=False))
        except OSError:
            names = []
        xattrs = {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in names if not n.startswith("security.selinux")}
        if xattrs:
            entry["xattrs"] = xattrs
        if times:
            entry["mtime"] = str(st.st_mtime_ns) if st.st_mtime_ns <= LONG_AGO else "now"
        entries[rel.decode("latin1")] = entry
    for group in groups.values():
        names = sorted(name.decode("latin1") for name in group)
        if len(names) > 1:
            for name in names:
                entries[name]["links"] = names
    return entries


def make(root, seed):
    rng = random.Random(f"make {seed}")
    os.makedirs(root)
    dirs = [b""]
    for _ in range(rng.randint(5, 14)):
        parent = rng.choice(dirs)
        rel = os.path.join(parent, rng.choice(BYTE_NAMES))
        if parent.count(b"/") < 4 and not os.path.lexists(os.path.join(root, rel)):
            os.mkdir(os.path.join(root, rel))
            os.chmod(os.path.join(root, rel), rng.choice(DIR_MODES))
            dirs.append(rel)
    for _ in range(rng.randint(20, 50)):
        rel = os.path.join(rng.choice(dirs), rng.choice(BYTE_NAMES))
        path = os.path.join(root, rel)
        if os.path.lexists(path):
            continue
        if rng.random() < 0.15:
            os.symlink(rng.choice(BYTE_NAMES + [b"../..", b"/etc/hostname", b"nowhere"]), path)
            continue
        with open(path, "wb") as file:
            file.write(content(rng))
        os.chmod(path, rng.choice(FILE_MODES))
    for rel, st in reversed(listing(root)):
        path = os.path.join(root, rel)
        if not stat.S_ISLNK(st.st_mode):
            attribute(path, stat.S_ISDIR(st.st_mode), rng)
        os.utime(path, ns=(LONG_AGO, long_ago(rng)), follow_symlinks=False)


def attribute(path, is_dir, rng):
    """Attributes that operations change, and one that they don't; access lists."""
    wanted = {name: rng.randbytes(rng.choice([0, 3, 300])) for name in ATTRIBUTES + [b"user.made"] if rng.random() < 0.15}
    for name in [ACL, DEFAULT_ACL] if is_dir else [ACL]:
        if rng.random() < 0.1:
            wanted[name] = access_list(rng, is_dir)
    for name, value in wanted.items():
        try:
            os.setxattr(path, name, value)
        except OSError:
            pass


def access_list(rng, is_dir):
    """Everything for its owner, and something for him once more by name: others have no number in a user namespace."""
    low = 1 if is_dir else 0
    owner, other, group, mask = 7 if is_dir else 6, rng.choice([0, 4]) | low, rng.choice([0, 4, 6]) | low, rng.choice([4, 6, 7]) | low
    nobody = 0xFFFFFFFF
    entries = [(1, owner, nobody), (2, rng.choice([4, 6, 7]) | low, os.geteuid()), (4, group, nobody), (16, mask, nobody), (32, other, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def long_ago(rng):
    return rng.randrange(LONG_AGO)


def content(rng):
    kind = rng.random()
    if kind < 0.1:
        return b""
    if kind < 0.7:
        return b"".join(b"line %d\n" % rng.randint(0, 99) for _ in range(rng.randint(1, 40)))
    return rng.randbytes(rng.choice([1, 100, 4096, 70000]))


def link_open_file(fd, path):
    """linkat with AT_SYMLINK_FOLLOW, which os.link doesn't pass on"""
    source = f"/proc/self/fd/{fd}".encode()
    if libc.linkat(-100, source, -100, path, 0x400) != 0:
        raise OSError(ctypes.get_errno(), "linkat")


class World:
    """One tree under operation."""

    def __init__(self, root, seed, fifos):
        self.root = root
        self.rng = random.Random(f"run {seed}")
        self.fifos = fifos
        self.log = []

    def abs(self, rel):
        return os.path.join(self.root, rel)

    def pick(self, kind):
        tests = {
            "file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK,
            "any": lambda mode: True, "notdir": lambda mode: not stat.S_ISDIR(mode),
        }
        found = [rel for rel, st in listing(self.root) if tests[kind](st.st_mode)]
        return self.rng.choice(found) if found else None

    def is_linked(self, rel):
        """In user mode the kernel checks access by the mode that it knows of each name: a new one is known of one name only."""
        st = os.lstat(self.abs(rel))
        return stat.S_ISREG(st.st_mode) and st.st_nlink > 1

    def fresh(self):
        """A name to make: mostly unused, below a directory that exists."""
        dirs = [b""] + [rel for rel, st in listing(self.root) if stat.S_ISDIR(st.st_mode)]
        return os.path.join(self.rng.choice(dirs), self.rng.choice(BYTE_NAMES))

    def step(self):
        ops = [
            self.create, self.create, self.append, self.overwrite, self.truncate, self.mapped,
            self.rename, self.rename, self.rename_dir, self.link, self.symlink, self.chmod, self.xattr,
            self.unxattr, self.acl, self.unacl, self.unlink, self.unlink, self.rmdir, self.mkdir, self.mkdir, self.fifo,
            self.rmtree, self.dir_to_file, self.file_to_dir, self.recreate, self.atomic_save, self.utime,
            self.touch_only, self.exclusive, self.tmpfile,
        ]
        op = self.rng.choice(ops)
        try:
            result = op()
        except OSError as error:
            result = errno.errorcode.get(error.errno, str(error.errno))
        self.log.append(f"{op.__name__} {result}")

    # every operation returns what it did, as text

    def create(self):
        rel = self.fresh()
        data, mode = content(self.rng), self.rng.choice(FILE_MODES)
        if os.path.lexists(self.abs(rel)) and not stat.S_ISREG(os.lstat(self.abs(rel)).st_mode):
            return f"{rel} taken"
        with open(self.abs(rel), "wb") as file:
            file.write(data)
        os.chmod(self.abs(rel), mode)
        return rel

    def append(self):
        rel, data = self.pick("file"), content(self.rng)
        if rel is None:
            return None
        with open(self.abs(rel), "ab") as file:
            file.write(data)
        return rel

    def overwrite(self):
        rel, at = self.pick("file"), self.rng.choice([0, 1, 5000])
        if rel is None:
            return None
        with open(self.abs(rel), "r+b") as file:
            file.seek(at)
            file.write(b"OVER")
        return rel

    def truncate(self):
        rel, size = self.pick("file"), self.rng.choice([0, 1, 10, 9000])
        if rel is None:
            return None
        os.truncate(self.abs(rel), size)
        return rel

    def mapped(self):
        rel = self.pick("file")
        if rel is None or os.lstat(self.abs(rel)).st_size == 0:
            return None
        with open(self.abs(rel), "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[len(view) // 2] = 77
        return rel

    def rename(self):
        rel, to = self.pick("notdir"), self.fresh()
        if rel is None:
            return None
        os.rename(self.abs(rel), self.abs(to))
        return f"{rel} {to}"

    def rename_dir(self):
        rel, to = self.pick("dir"), self.fresh()
        if rel is None or to == rel or to.startswith(rel + b"/"):
            return None
        if any(st.st_nlink > 1 and stat.S_ISREG(st.st_mode) for _, st in listing(self.abs(rel))):
            return None  # a copy breaks links that a rename keeps
        try:
            os.rename(self.abs(rel), self.abs(to))
        except OSError as error:
            if error.errno != errno.EXDEV:
                return "refused"
            argv = ["mv", "-T", "--", self.abs(rel), self.abs(to)]
            if subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode != 0:
                return "refused"
        return f"{rel} {to}"

    def link(self):
        rel, to = self.pick("file"), self.fresh()
        if rel is None:
            return None
        os.link(self.abs(rel), self.abs(to))
        return f"{rel} {to}"

    def symlink(self):
        to = self.fresh()
        os.symlink(self.rng.choice(BYTE_NAMES + [b"/nowhere", b"../../.."]), self.abs(to))
        return to

    def chmod(self):
        rel = self.pick("any")
        if rel is None:
            return None
        mode = os.lstat(self.abs(rel)).st_mode
        if self.is_linked(rel):
            return None
        new = self.rng.choice(DIR_MODES if stat.S_ISDIR(mode) else FILE_MODES)
        if not stat.S_ISLNK(mode):
            os.chmod(self.abs(rel), new)
        return f"{rel} {new:o}"

    def xattr(self):
        rel, value = self.pick("any"), self.rng.randbytes(self.rng.choice([0, 1, 200, 2000]))
        if rel is None or stat.S_ISLNK(os.lstat(self.abs(rel)).st_mode):
            return None
        held = [name for name in ATTRIBUTES if os.fsdecode(name) in os.listxattr(self.abs(rel))]
        # Mostly another value of what it has.
        name = self.rng.choice(held if held and self.rng.random() < 0.7 else ATTRIBUTES)
        os.setxattr(self.abs(rel), name, value, follow_symlinks=False)
        return f"{rel} {name}"

    def unxattr(self):
        rel = self.pick("file")
        if rel is None:
            return None
        for name in sorted(os.listxattr(self.abs(rel))):
            if name.startswith("user."):
                os.removexattr(self.abs(rel), name)
        return rel

    def acl(self):
        rel = self.pick("any")
        if rel is None or stat.S_ISLNK(os.lstat(self.abs(rel)).st_mode):
            return None
        is_dir = os.path.isdir(self.abs(rel))
        name = self.rng.choice([ACL, DEFAULT_ACL]) if is_dir else ACL
        if self.is_linked(rel):
            return None
        os.setxattr(self.abs(rel), name, access_list(self.rng, is_dir))
        return f"{rel} {name}"

    def unacl(self):
        """of the first that has one: few have"""
        for rel, st in listing(self.root):
            if stat.S_ISLNK(st.st_mode) or self.is_linked(rel):
                continue
            held = [name for name in [ACL, DEFAULT_ACL] if name in os.listxattr(self.abs(rel))]
            if held:
                os.removexattr(self.abs(rel), held[0])
                return f"{rel} {held[0]}"
        return None

    def unlink(self):
        rel = self.pick("notdir")
        if rel is None:
            return None
        os.unlink(self.abs(rel))
        return rel

    def rmdir(self):
        rel = self.pick("dir")
        if rel is None:
            return None
        os.rmdir(self.abs(rel))
        return rel

    def mkdir(self):
        rel, mode = self.fresh(), self.rng.choice(DIR_MODES)
        os.mkdir(self.abs(rel))
        os.chmod(self.abs(rel), mode)
        return rel

    def fifo(self):
        rel = self.fresh()
        if not self.fifos:
            return None
        os.mkfifo(self.abs(rel), 0o644)
        return rel

    def remove_all(self, rel):
        for child, st in reversed(listing(self.abs(rel))):
            path = os.path.join(self.abs(rel), child)
            os.rmdir(path) if stat.S_ISDIR(st.st_mode) else os.unlink(path)
        os.rmdir(self.abs(rel))

    def rmtree(self):
        rel = self.pick("dir")
        if rel is None:
            return None
        self.remove_all(rel)
        return rel

    def dir_to_file(self):
        rel, data = self.pick("dir"), content(self.rng)
        if rel is None:
            return None
        self.remove_all(rel)
        with open(self.abs(rel), "xb") as file:
            file.write(data)
        return rel

    def file_to_dir(self):
        rel, data = self.pick("notdir"), content(self.rng)
        if rel is None:
            return None
        os.unlink(self.abs(rel))
        os.mkdir(self.abs(rel))
        with open(os.path.join(self.abs(rel), b"inner"), "xb") as file:
            file.write(data)
        return rel

    def recreate(self):
        """rm -r d; mkdir d; one file in it"""
        rel, data = self.pick("dir"), content(self.rng)
        if rel is None:
            return None
        self.remove_all(rel)
        os.mkdir(self.abs(rel))
        with open(os.path.join(self.abs(rel), self.rng.choice(BYTE_NAMES)), "xb") as file:
            file.write(data)
        return rel

    def atomic_save(self):
        """as editors do: a temporary beside it, then rename over"""
        rel, data = self.pick("file"), content(self.rng)
        if rel is None:
            return None
        temp = self.abs(rel)[: -len(os.path.basename(rel))] + b".save~"
        with open(temp, "xb") as file:
            file.write(data)
            os.fsync(file.fileno())
        os.rename(temp, self.abs(rel))
        return rel

    def utime(self):
        rel, when = self.pick("any"), long_ago(self.rng)
        if rel is None:
            return None
        os.utime(self.abs(rel), ns=(when, when), follow_symlinks=False)
        return rel

    def touch_only(self):
        """opened for writing, nothing written: copied up, not changed"""
        rel = self.pick("file")
        if rel is None:
            return None
        os.close(os.open(self.abs(rel), os.O_RDWR))
        return rel

    def exclusive(self):
        rel = self.fresh()
        os.close(os.open(self.abs(rel), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        return rel

    def tmpfile(self):
        rel, data = self.fresh(), content(self.rng)
        parent = os.path.dirname(self.abs(rel)) or self.root
        fd = os.open(parent, os.O_TMPFILE | os.O_RDWR, 0o600)
        try:
            os.write(fd, data)
            link_open_file(fd, self.abs(rel))
        finally:
            os.close(fd)
        return rel


def run(root, seed, count, fifos, times):
    world = World(root, seed, fifos)
    for _ in range(count):
        world.step()
    return {"log": world.log, "dump": dump(root, times)}


def main():
    verb, top = sys.argv[1], os.fsencode(sys.argv[2])
    times = os.environ.get("TIMES") == "1"
    os.umask(0o022)
    if verb == "dump":
        print(json.dumps(dump(top, times)))
        return
    count = int(os.environ.get("OPS", "40"))
    results = {}
    for seed in sys.argv[3:]:
        root = os.path.join(top, b"s" + seed.encode())
        if verb == "make":
            make(root, seed)
        else:
            results[seed] = run(root, seed, count, os.environ.get("FIFOS") == "1", times)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
