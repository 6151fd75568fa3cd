#!/usr/bin/python3
"""Rows of the copy-on-write catalogue, the same natively and in a sandbox.

    cow.py list             {id: what it is}
    cow.py make DIR         lay out DIR/<id> for each row
    cow.py run DIR [ID…]    try each row; prints {id: "ok" or what went wrong}

Each row asserts what a program may expect of a filesystem. Rows of `landing`
may be committed: the host must then equal a native run.
"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import stat
import struct
import subprocess
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
ROWS = {}


def row(name, make=None):
    def register(body):
        ROWS[name] = (make or (lambda d: None), body)
        return body
    return register


def write(path, text, mode=None):
    with open(path, "w") as file:
        file.write(text)
    if mode is not None:
        os.chmod(path, mode)


def read(path):
    with open(path) as file:
        return file.read()


def sh(script, cwd, *args):
    done = subprocess.run(["sh", "-c", script, "sh", *args], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script!r} ended {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def fails(code, call, *args, **named):
    try:
        call(*args, **named)
    except OSError as error:
        assert error.errno == code, f"{errno.errorcode.get(error.errno)} instead of {errno.errorcode[code]}"
        return
    raise AssertionError(f"succeeded instead of {errno.errorcode[code]}")


def tree(d):
    """rm -r and friends start from this: d/a/b/{x,y}, d/a/z, d/f"""
    os.makedirs(f"{d}/a/b")
    for name in ("a/b/x", "a/b/y", "a/z", "f"):
        write(f"{d}/{name}", f"{name}\n")


# --- copy-up as the program sees it -----------------------------------------

@row("E31", lambda d: write(f"{d}/watched", "old\n"))
def watch_a_directory(d):
    """a watcher on the directory sees a write that copies up"""
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(fd, d.encode(), 0x2 | 0x8 | 0x100) >= 0
    with open(f"{d}/watched", "a") as file:
        file.write("new\n")
    names = os.read(fd, 4096)
    os.close(fd)
    assert b"watched" in names, "no event"


@row("E30", lambda d: write(f"{d}/followed", "old\n"))
def follow_a_file(d):
    """`tail -f` on a file of the host shows what is appended once it was copied up"""
    follower = subprocess.Popen(["timeout", "300", "tail", "-f", "-n", "+1", f"{d}/followed"], stdout=subprocess.PIPE, text=True)
    try:
        lines = [follower.stdout.readline()]
        for line in ("one\n", "two\n"):
            with open(f"{d}/followed", "a") as file:
                file.write(line)
            lines.append(follower.stdout.readline())
    finally:
        follower.kill()
        follower.wait()
    assert lines == ["old\n", "one\n", "two\n"], lines


@row("E33", lambda d: write(f"{d}/log", "first\n"))
def append_from_two_processes(d):
    code = "import sys\nfor n in range(5000):\n    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"
    jobs = [subprocess.Popen([sys.executable, "-c", code, f"{d}/log", who]) for who in "ab"]
    assert all(job.wait() == 0 for job in jobs)
    lines = read(f"{d}/log").split("\n")
    assert (lines.count("a"), lines.count("b"), lines[0], len(lines)) == (5000, 5000, "first", 10002), len(lines)
    write(f"{d}/log", "done\n")


@row("E34", lambda d: write(f"{d}/sparse", "start"))
def sparse_files(d):
    with open(f"{d}/sparse", "r+b") as file:
        file.seek(1 << 30)
        file.write(b"x")
        file.flush()
        assert os.pread(file.fileno(), 4, (1 << 30) - 2) == b"\0\0x"
        hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
        assert 0 < hole < 1 << 30, f"no hole: {hole}"
    assert os.stat(f"{d}/sparse").st_blocks < 100_000, "the hole was filled"
    os.truncate(f"{d}/sparse", 4096)


def repository(d):
    sh("""git init -q -b main . && for i in $(seq 300); do echo "$i" > f$i; done && git add . &&
          git -c user.name=t -c user.email=t@t commit -qm one && git switch -q -c other &&
          for i in $(seq 150); do echo changed > f$i; done && git rm -q f300 &&
          git -c user.name=t -c user.email=t@t commit -qam two && git switch -q main""", d)


@row("E35", repository)
def git_switch(d):
    sh("git switch -q other && test ! -e f300 && grep -q changed f1 && git switch -q main && test -z \"$(git status --porcelain)\"", d)


@row("E37", lambda d: write(f"{d}/lock", ""))
def exclusive_create(d):
    fails(errno.EEXIST, os.open, f"{d}/lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.unlink(f"{d}/lock")
    os.close(os.open(f"{d}/lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))


@row("E39", lambda d: (os.mkdir(f"{d}/p", 0o700), write(f"{d}/p/f", "x")))
def parent_mode(d):
    write(f"{d}/p/f", "y")
    assert stat.S_IMODE(os.stat(f"{d}/p").st_mode) == 0o700


@row("E41")
def long_names(d):
    write(f"{d}/{'n' * 255}", "x")
    fails(errno.ENAMETOOLONG, os.mkdir, f"{d}/{'n' * 256}")
    fails(errno.ENAMETOOLONG, os.stat, "/" + "d/" * 2048)


@row("E42", lambda d: write(f"{d}/tool.js", "x"))
def symlink_for_bins(d):
    os.mkdir(f"{d}/.bin")
    os.symlink("../tool.js", f"{d}/.bin/tool")
    assert read(f"{d}/.bin/tool") == "x"


@row("E43", lambda d: write(f"{d}/first", ""))
def list_what_another_made(d):
    assert os.listdir(d) == ["first"]
    sh("touch second", d)
    assert sorted(os.listdir(d)) == ["first", "second"]
    sh("rm first", d)
    assert os.listdir(d) == ["second"]


@row("E46", lambda d: (write(f"{d}/ro", "x", 0o444), write(f"{d}/ro2", "x", 0o444)))
def read_only_files(d):
    sh("rm -f ro && chmod u+w ro2 && echo y >> ro2", d)
    assert read(f"{d}/ro2") == "xy\n"


@row("E47")
def unpack_read_only_directories(d):
    sh("mkdir src && mkdir src/ro && echo x > src/ro/f && chmod 555 src/ro && tar cf a.tar src && chmod 755 src/ro && rm -r src && tar xf a.tar && rm a.tar", d)
    assert stat.S_IMODE(os.stat(f"{d}/src/ro").st_mode) == 0o555
    os.chmod(f"{d}/src/ro", 0o755)


@row("E49", lambda d: (repository_at(f"{d}/origin"), write(f"{d}/lock", "x")))
def parallel_clones_and_locks(d):
    jobs = [subprocess.Popen(["git", "clone", "-q", *options, "origin", f"c{n}"], cwd=d)
            for n, options in enumerate([[], ["--no-hardlinks"], ["--shared"], ["--bare"]] * 4)]
    assert all(job.wait() == 0 for job in jobs)
    sh("rm -rf c*", d)
    with open(f"{d}/lock") as reader, open(f"{d}/lock", "r+") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write("y")
        writer.flush()
        got = subprocess.run(["flock", "-n", f"{d}/lock", "true"], check=False).returncode
        assert got == 1, "two holders of one lock"
        assert reader.fileno() > 0


def repository_at(d):
    os.mkdir(d)
    sh("git init -q . && echo x > f && git add f && git -c user.name=t -c user.email=t@t commit -qm one", d)


@row("E50", tree)
def link_counts(d):
    sh("mkdir a/new && rm -r a/b", d)
    assert sh("find . | sort", d) == sh("find . -noleaf | sort", d)


@row("E51", lambda d: [write(f"{d}/f{n}", "") for n in range(3000)])
def delete_while_reading(d):
    seen = set()
    for entry in os.scandir(d):
        assert entry.name not in seen, "listed twice"
        seen.add(entry.name)
        os.unlink(entry.path)
    assert len(seen) == 3000 and os.listdir(d) == [], len(seen)


@row("E54", lambda d: (write(f"{d}/f", "x"), os.mkdir(f"{d}/dir"), write(f"{d}/dir/in", "x")))
def extended_attributes(d):
    value = bytes(range(256)) * 8
    os.setxattr(f"{d}/f", "user.big", value)
    assert os.getxattr(f"{d}/f", "user.big") == value
    write(f"{d}/dir/in", "y")
    os.unlink(f"{d}/dir/in")
    shown = [name for path in (d, f"{d}/f", f"{d}/dir") for name in os.listxattr(path)]
    assert shown == ["user.big"], shown


@row("E55", lambda d: (os.mkdir(f"{d}/dir"), write(f"{d}/dir/old", "x")))
def access_lists(d):
    # own ids: others have no meaning in a user namespace
    sh("""u=$(id -un 2>/dev/null || id -u) g=$(id -gn 2>/dev/null || id -g) && setfacl -d -m u:$(id -u):r dir && touch dir/new &&
          setfacl -m g:$(id -g):rw dir/old && getfacl -c dir/new | grep -q "^user:$u:r" && getfacl -c dir/old | grep -q "^group:$g:rw" """, d)


@row("E57", lambda d: write(f"{d}/store", "x"))
def link_from_a_store(d):
    os.link(f"{d}/store", f"{d}/linked")
    # one file under two names; in user mode the kernel keeps two inode numbers
    write(f"{d}/linked", "y")
    assert read(f"{d}/store") == "y" and os.stat(f"{d}/store").st_nlink == 2


@row("E58", lambda d: write(f"{d}/f", "x"))
def inode_flags(d):
    done = subprocess.run(["lsattr", f"{d}/f"], capture_output=True, text=True, check=False)
    assert "Input/output" not in done.stderr, done.stderr


@row("E61", lambda d: (os.mkdir(f"{d}/p"), write(f"{d}/p/f", "old"), os.chmod(f"{d}/p", 0o300)))
def unreadable_parent(d):
    write(f"{d}/p/f", "new")
    write(f"{d}/p/g", "new")
    os.chmod(f"{d}/p", 0o100)
    assert read(f"{d}/p/f") == "new"
    os.chmod(f"{d}/p", 0o700)


@row("E63")
def null_device(d):
    before = os.stat("/dev/null")
    for _ in range(2000):
        with open("/dev/null", "w") as file:
            file.write("x")
    sh("for i in $(seq 500); do echo x > /dev/null; done", d)
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode) and before.st_rdev == after.st_rdev and read("/dev/null") == ""


# --- deletions, whiteouts, renames ------------------------------------------

@row("E65", tree)
def children_of_the_deleted(d):
    sh("rm -r a", d)
    fails(errno.ENOENT, os.open, f"{d}/a/b/x", os.O_RDONLY)
    os.mkdir(f"{d}/a")
    assert os.listdir(f"{d}/a") == []
    fails(errno.ENOENT, os.open, f"{d}/a/z", os.O_RDONLY)


@row("E66", tree)
def move_a_directory(d):
    sh("mv a moved && test $(find moved -type f | wc -l) = 3 && test ! -e a", d)


@row("E67", tree)
def rmdir_nonempty(d):
    fails(errno.ENOTEMPTY, os.rmdir, f"{d}/a")


@row("E70", tree)
def rename_over_deleted(d):
    os.unlink(f"{d}/f")
    os.rename(f"{d}/a/z", f"{d}/f")
    assert read(f"{d}/f") == "a/z\n" and not os.path.exists(f"{d}/a/z")


@row("E71", tree)
def symlink_over_deleted(d):
    os.unlink(f"{d}/f")
    os.symlink("a/z", f"{d}/f")
    assert read(f"{d}/f") == "a/z\n"


@row("E73", tree)
def recreate_a_chain(d):
    sh("rm -r a && mkdir -p a/b/c", d)
    assert os.listdir(f"{d}/a") == ["b"] and os.listdir(f"{d}/a/b") == ["c"]


@row("E75", tree)
def recreate_a_grandchild(d):
    sh("rm -r a/b", d)
    os.makedirs(f"{d}/a/b/c")
    assert sorted(os.listdir(f"{d}/a")) == ["b", "z"] and os.listdir(f"{d}/a/b") == ["c"]


@row("E77", tree)
def move_over_each_other(d):
    os.unlink(f"{d}/a/b/x")
    os.rename(f"{d}/f", f"{d}/a/b/x")
    os.rename(f"{d}/a/b/y", f"{d}/f")
    assert os.listdir(f"{d}/a/b") == ["x"] and read(f"{d}/f") == "a/b/y\n"


@row("E81", tree)
def child_open_while_the_parent_moves(d):
    with open(f"{d}/a/b/x", "a") as file:
        sh("mv a moved", d)
        file.write("late\n")
    assert sorted(os.listdir(f"{d}/moved/b")) == ["x", "y"]


@row("E83", tree)
def delete_beside_add(d):
    sh("rm -r a/b && mkdir a/c && echo n > a/c/n", d)
    assert sorted(os.listdir(f"{d}/a")) == ["c", "z"]


@row("E85", tree)
def delete_a_directory(d):
    sh("rm -r a", d)
    assert os.listdir(d) == ["f"]


@row("E87", tree)
def rename_a_directory(d):
    """EXDEV is allowed (user mode); then the tree is as it was"""
    try:
        os.rename(f"{d}/a", f"{d}/r")
    except OSError as error:
        assert error.errno == errno.EXDEV, error
        assert read(f"{d}/a/b/x") == "a/b/x\n"
        sh("mv a r", d)
    assert read(f"{d}/r/b/x") == "a/b/x\n" and not os.path.exists(f"{d}/a")


@row("E91", tree)
def move_recreate_delete_recreate(d):
    sh("mv a old && mkdir a && echo 1 > a/n && rm -r a && mkdir a && echo 2 > a/m && test ! -e a/b && test -e old/b/x", d)
    assert os.listdir(f"{d}/a") == ["m"]


@row("E103", lambda d: (os.symlink("nowhere", f"{d}/dangling"), os.symlink("f", f"{d}/keep")))
def dangling_links(d):
    os.unlink(f"{d}/dangling")
    os.mkdir(f"{d}/empty")
    os.symlink("nowhere", f"{d}/fresh")


@row("E114", lambda d: (os.symlink("loop", f"{d}/loop"), os.symlink("/etc/hostname", f"{d}/out")))
def links_replaced(d):
    os.unlink(f"{d}/loop")
    write(f"{d}/loop", "now a file")
    os.unlink(f"{d}/out")
    os.mkdir(f"{d}/out")


@row("E119")
def hard_links(d):
    write(f"{d}/one", "x")
    os.link(f"{d}/one", f"{d}/two")
    with open(f"{d}/two", "a") as file:
        file.write("y")
    assert read(f"{d}/one") == "xy"


@row("E122", tree)
def rename_then_chmod_then_write(d):
    os.rename(f"{d}/f", f"{d}/g")
    os.chmod(f"{d}/g", 0o600)
    with open(f"{d}/g", "a") as file:
        file.write("more\n")
    os.rename(f"{d}/g", f"{d}/f")


@row("E101", lambda d: [write(os.path.join(os.fsencode(d), name), "x") for name in HOSTILE[:4]])
def hostile_names(d):
    for name in HOSTILE[4:]:
        write(os.path.join(os.fsencode(d), name), "new")
    for name in HOSTILE[:2]:
        write(os.path.join(os.fsencode(d), name), "changed")
    for name in HOSTILE[2:4]:
        os.unlink(os.path.join(os.fsencode(d), name))


HOSTILE = [
    b"new\nline", b"tab\there", b"quote'\"`$(id)", b"-rf", "rtl\u202egnp.exe".encode(), b"raw\xff\xfe", b"esc\x1b]0;title\x07",
    b" lead", b"trail ", b"back\\slash", b"a:b,c", b"*?[x]", "zero\u200bwidth".encode(), b"\x01\x7f",
]


@row("E98", lambda d: (os.mkdir(f"{d}/ssh", 0o755), write(f"{d}/ssh/f", "x")))
def chmod_a_directory(d):
    os.chmod(f"{d}/ssh", 0o700)


@row("CW07", lambda d: (write(f"{d}/file", "x"), tree(f"{d}")))
def swap_types(d):
    os.unlink(f"{d}/file")
    os.mkdir(f"{d}/file")
    write(f"{d}/file/in", "x")
    sh("rm -r a", d)
    write(f"{d}/a", "now a file")


@row("CW08", tree)
def one_file_in_a_recreated_directory(d):
    sh("rm -r a && mkdir a && echo new > a/only", d)
    assert os.listdir(f"{d}/a") == ["only"]


@row("E139", tree)
def writes_of_grandchildren(d):
    sh("(setsid sh -c '(echo daemon > daemon; mv daemon done) &' &) ; for i in $(seq 200); do test -e done && exit 0; sleep 0.05; done; exit 1", d)


@row("E69", lambda d: [write(f"{d}/{name}", "old\n") for name in ("openat2", "creat", "renameat2", "mmap", "truncate", "splice", "copy_range")])
def other_ways_to_write(d):
    how = struct.pack("QQQ", os.O_WRONLY | os.O_TRUNC, 0, 0)
    fd = libc.syscall(437, -100, f"{d}/openat2".encode(), how, len(how))
    assert fd >= 0, "openat2"
    os.write(fd, b"new\n")
    os.close(fd)
    fd = libc.creat(f"{d}/creat".encode(), 0o644)
    os.write(fd, b"new\n")
    os.close(fd)
    write(f"{d}/temp", "new\n")
    assert libc.renameat2(-100, f"{d}/temp".encode(), -100, f"{d}/renameat2".encode(), 2) == 0, "exchange"
    with open(f"{d}/mmap", "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        view[0:3] = b"new"
    os.truncate(f"{d}/truncate", 2)
    with open(f"{d}/temp", "rb") as source, open(f"{d}/copy_range", "r+b") as to:
        os.copy_file_range(source.fileno(), to.fileno(), 4)
    left, right = os.pipe()
    os.write(right, b"new\n")
    with open(f"{d}/splice", "r+b") as to:
        os.splice(left, to.fileno(), 4)


@row("E29", lambda d: write(f"{d}/f", "old"))
def writer_sees_its_own_write(d):
    """a read-only descriptor from before may keep the old content (documented); a new one may not"""
    with open(f"{d}/f") as early:
        write(f"{d}/f", "new")
        assert early.read() in ("old", "new")
    assert read(f"{d}/f") == "new"


@row("WR19", lambda d: write(f"{d}/f", "content"))
def truncate_through_a_reader(d):
    fd = os.open(f"{d}/f", os.O_RDONLY)
    try:
        os.ftruncate(fd, 0)
        raise AssertionError("truncated through a read-only descriptor")
    except OSError as error:
        assert error.errno in (errno.EINVAL, errno.EBADF), error
    finally:
        os.close(fd)
    assert read(f"{d}/f") == "content"


@row("KN16", lambda d: (write(f"{d}/f", "content"), write(f"{d}/g", "other")))
def write_ioctls_through_a_reader(d):
    with open(f"{d}/f") as target, open(f"{d}/g") as source:
        fails(errno.EBADF, os.posix_fallocate, target.fileno(), 0, 4096)
        try:
            fcntl.ioctl(target, 0x40049409, source.fileno())
            raise AssertionError("cloned into a read-only descriptor")
        except OSError as error:
            assert error.errno in (errno.EBADF, errno.EOPNOTSUPP, errno.EXDEV), error
    assert read(f"{d}/f") == "content"


# --- rows whose result must not land: own directory names -------------------

@row("keep-E38", lambda d: (write(f"{d}/f", "x"), os.mkdir(f"{d}/dir")))
def special_bits(d):
    os.chmod(f"{d}/f", 0o4755)
    os.chmod(f"{d}/dir", 0o1777)
    assert stat.S_IMODE(os.stat(f"{d}/f").st_mode) == 0o4755
    assert stat.S_IMODE(os.stat(f"{d}/dir").st_mode) == 0o1777


@row("keep-E62", lambda d: os.mkfifo(f"{d}/old"))
def fifos(d):
    os.mkfifo(f"{d}/fifo")
    for name in ("fifo", "old"):
        writer = threading.Thread(target=write, args=(f"{d}/{name}", "through"))
        writer.start()
        assert read(f"{d}/{name}") == "through"
        writer.join()


@row("keep-CW19", lambda d: (write(f"{d}/one", "x"), os.link(f"{d}/one", f"{d}/two")))
def broken_links(d):
    write(f"{d}/one", "y")
    assert read(f"{d}/one") == "y"


@row("keep-CW20")
def deep_and_many(d):
    os.chdir(d)
    for _ in range(600):
        os.mkdir("deep")
        os.chdir("deep")
    write("bottom", "x")
    os.chdir(d)
    os.mkdir("many")
    for n in range(3000):
        write(f"many/{n}", "")


def attempt(name, d):
    signal.alarm(60)
    try:
        ROWS[name][1](d)
        return "ok"
    except Exception as error:  # the report is the point
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def main():
    verb = sys.argv[1]
    if verb == "list":
        print(json.dumps({name: body.__name__.replace("_", " ") for name, (_, body) in ROWS.items()}))
        return
    top = sys.argv[2]
    wanted = sys.argv[3:] or list(ROWS)
    os.umask(0o022)
    if verb == "make":
        for name in wanted:
            os.makedirs(f"{top}/{name}")
            ROWS[name][0](f"{top}/{name}")
        print(json.dumps(list(ROWS)))
        return
    print(json.dumps({name: attempt(name, f"{top}/{name}") for name in wanted}))


main()
