#!/usr/bin/python3
"""Tries to get past the walls, from inside; prints what each try gave.

    walls.py STATE_DIR SUPERVISOR_PID

Refuses to run without no_new_privs. One JSON object: {id: {name: result}}. A result is "ok", an errno name, or a
value. System calls get arguments that do no harm even where they succeed.
"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import pty
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = platform.machine() == "aarch64"
# name: (x86_64, aarch64); -1 where there is none
CALLS = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224),
    "reboot": (169, 142), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "fsopen": (430, 430), "open_tree": (428, 428),
    "move_mount": (429, 429), "mount_setattr": (442, 442), "fspick": (433, 433), "setns": (308, 268),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "quotactl": (179, 60), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "sethostname": (170, 161), "lookup_dcookie": (212, 18),
    "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1), "syslog": (103, 116), "vhangup": (153, 58),
}


def call(name, *args):
    number = CALLS[name][1 if ARM else 0]
    if number < 0:
        return "absent"
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    if libc.syscall(ctypes.c_long(number), *words) < 0:
        code = ctypes.get_errno()
        return errno.errorcode.get(code, str(code))
    return "ok"


def attempt(body, *args, **named):
    try:
        value = body(*args, **named)
        return "ok" if value is None else value
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except ValueError:
        return "EPERM"  # how Python tells a limit that may not be raised
    except subprocess.CalledProcessError as error:
        return f"exit {error.returncode}"


def head(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 256).decode("latin1")
    finally:
        os.close(fd)


def put(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def in_child(body):
    """What `body` returns, from a child; "signal N" when it was killed."""
    left, right = os.pipe()
    pid = os.fork()
    if pid == 0:
        result = attempt(body)
        os.write(right, json.dumps(result).encode())
        os._exit(0)
    os.close(right)
    with os.fdopen(left) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else json.loads(text)


# --- A: reading --------------------------------------------------------------

def rd02_rd19(state):
    roots = ["", "/proc/self/root", "/proc/thread-self/root", "/proc/1/root", "/proc/self/cwd" + "/.." * 12]
    return {root or "direct": attempt(os.listdir, root + state) for root in roots}


def rd14(supervisor):
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    lines = {}
    for pid in pids:
        lines[pid] = attempt(lambda p=pid: head(f"/proc/{p}/cmdline").replace("\0", " "))
    return {
        "cmdlines": lines,
        "fds of pid 1": attempt(lambda: [os.readlink(f"/proc/1/fd/{n}") for n in os.listdir("/proc/1/fd")]),
        "own fds": sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")),
        "supervisor": attempt(os.listdir, f"/proc/{supervisor}/fd"),
        "memory of pid 1": attempt(head, "/proc/1/mem"),
        "environment of pid 1": attempt(head, "/proc/1/environ"),
        "root of pid 1": attempt(os.listdir, "/proc/1/root/"),
        "cwd of pid 1": attempt(os.listdir, "/proc/1/cwd/"),
    }


def rd16():
    paths = ["/proc/kcore", "/proc/timer_list", "/proc/sched_debug", "/proc/kmsg", "/proc/slabinfo", "/proc/vmallocinfo",
             "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup", "/proc/pagetypeinfo", "/proc/iomem", "/dev/mem", "/dev/kmsg", "/proc/keys", "/proc/key-users"]
    addresses = attempt(lambda: sorted({line.split()[0] for line in head("/proc/kallsyms").split("\n")[:3] if line}))
    return {
        **{path: attempt(lambda p=path: len(head(p))) for path in paths},
        "/proc/kallsyms": addresses,
        "/sys/kernel/debug": attempt(os.listdir, "/sys/kernel/debug"),
        "/sys/kernel/tracing": attempt(os.listdir, "/sys/kernel/tracing"),
        "/sys/firmware": attempt(os.listdir, "/sys/firmware"),
    }


def rd20():
    def crash():
        os.kill(os.getpid(), signal.SIGSEGV)
    before = set(os.listdir("."))
    return {
        "limit": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "raise": attempt(resource.setrlimit, resource.RLIMIT_CORE, (1, 1)) if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 else "not zero",
        "end": in_child(crash),
        "files": sorted(set(os.listdir(".")) - before),
    }


# --- D, H: system calls -------------------------------------------------------

def tc08():
    """Foreign system call numbers may not dodge the filter."""
    if ARM:
        return {"x32": "absent", "i386 keyctl": "absent", "i386 io_uring_setup": "absent", "i386 socket(AF_ALG)": "absent"}

    def x32():
        value = libc.syscall(ctypes.c_long(0x40000000 | 250), 0, 0, 0, 0, 0)
        return errno.errorcode.get(ctypes.get_errno()) if value < 0 else "ok"

    def i386(number, *args):
        def body():
            regs = [b"\xbb", b"\xb9", b"\xba", b"\xbe", b"\xbf"]  # ebx ecx edx esi edi
            code = b"\x53\xb8" + struct.pack("<I", number)
            for reg, arg in zip(regs, args):
                code += reg + struct.pack("<I", arg)
            code += b"\xcd\x80\x5b\xc3"
            page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            page.write(code)
            address = ctypes.addressof(ctypes.c_char.from_buffer(page))
            value = ctypes.c_int(ctypes.CFUNCTYPE(ctypes.c_int)(address)()).value
            return errno.errorcode.get(-value, str(-value)) if value < 0 else "ok"
        return in_child(body)

    return {
        "x32": in_child(x32), "i386 keyctl": i386(288, 0, 0, 0, 0, 0), "i386 io_uring_setup": i386(425, 1, 0),
        "i386 socket(AF_ALG)": i386(359, 38, 5, 0), "i386 ptrace": i386(26, 16, 1, 0, 0), "i386 getpid": i386(20),
    }


def tc10():
    """EPERM is the wall; the arguments are wrong, so nothing happens without it."""
    here = os.getcwd().encode()
    return {
        "mount": call("mount", b"none", here, b"afw-none", 0, 0), "umount2": call("umount2", here, 2),
        "pivot_root": call("pivot_root", here, here), "fsopen": call("fsopen", b"afw-none", 0),
        "open_tree clone": call("open_tree", -100, here, 1), "fspick": call("fspick", -100, here, 0),
        "move_mount": call("move_mount", -1, b"x", -1, b"x", 0),
        "mount_setattr": call("mount_setattr", -1, b"x", 0, struct.pack("QQQQ", 0, 1, 0, 0), 32),
        "remount": call("mount", b"none", here, 0, 0x20 | 0x1000, 0),
    }


def kn02():
    buffer = ctypes.create_string_buffer(8)
    local = struct.pack("QQ", ctypes.addressof(buffer), 8)
    far = struct.pack("QQ", 0x1000, 8)  # EFAULT where the call gets through
    return {
        "attach to pid 1": call("ptrace", 16, 1, 0, 0), "seize pid 1": call("ptrace", 0x4206, 1, 0, 0),
        "process_vm_readv": call("process_vm_readv", 1, local, 1, far, 1, 0),
        "process_vm_writev": call("process_vm_writev", 1, local, 1, far, 1, 0),
        "write /proc/1/mem": attempt(put, "/proc/1/mem", ""),
        "own child": own_child_traced(),
    }


def own_child_traced():
    """Debuggers of the agent's own children go on working."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    result = call("ptrace", 0x4206, pid, 0, 0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return result


def kn05():
    def unshare(flags):
        return lambda: "ok" if libc.unshare(flags) == 0 else errno.errorcode[ctypes.get_errno()]
    return {
        "user": in_child(unshare(0x10000000)), "mount alone": in_child(unshare(0x20000)), "net alone": in_child(unshare(0x40000000)),
        "pid alone": in_child(unshare(0x20000000)),
        "setns to pid 1": attempt(lambda: call("setns", os.open("/proc/1/ns/mnt", os.O_RDONLY), 0)),
        "setns user of pid 1": attempt(lambda: call("setns", os.open("/proc/1/ns/user", os.O_RDONLY), 0)),
    }


def kn07(state):
    """As root of a nested user namespace: undo the masks."""
    script = """
      umount -l "$1" 2>/dev/null && echo umount-state
      umount -l /tmp 2>/dev/null && echo umount-tmp
      umount -l / 2>/dev/null && echo umount-root
      mount -o remount,rw,bind /usr 2>/dev/null && touch /usr/afw-nested 2>/dev/null && echo remount-usr
      mount -o remount,rw,bind /sys 2>/dev/null && echo remount-sys
      mount --move /tmp /mnt 2>/dev/null && echo move-tmp
      mkdir -p /dev/shm/afw-nested/{l,u,w,m} 2>/dev/null
      test -n "$(ls -A "$1" 2>/dev/null)" && echo state-visible
      mount --bind "$(dirname "$1")" /mnt 2>/dev/null && test -n "$(ls -A /mnt/$(basename "$1") 2>/dev/null)" && echo state-by-bind
      mount -t overlay none -o "userxattr,lowerdir=$(dirname "$1"),upperdir=/dev/shm/afw-nested/u,workdir=/dev/shm/afw-nested/w" /dev/shm/afw-nested/m 2>/dev/null &&
        test -n "$(ls -A /dev/shm/afw-nested/m/$(basename "$1") 2>/dev/null)" && echo state-by-overlay
      mount -t proc none /proc 2>/dev/null
      echo 1 > /proc/sys/vm/drop_caches 2>/dev/null && echo wrote-sysctl
      nsenter -t 1 -m true 2>/dev/null && echo nsenter
      exit 0
    """
    done = subprocess.run(["unshare", "-Urm", "bash", "-c", script, "bash", state], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "won": done.stdout.split()}


def groups():
    """As root of a nested user namespace: control groups with processes of the host that one may write to."""
    script = """
      for kind in cgroup2 freezer memory pids cpu cpuset blkio devices; do
        mkdir -p /dev/shm/afw-groups
        case $kind in cgroup2) mount -t cgroup2 none /dev/shm/afw-groups;; *) mount -t cgroup -o $kind none /dev/shm/afw-groups;; esac 2>/dev/null || continue
        # A process that is not in the pid namespace is shown as 0.
        grep -qx 0 /dev/shm/afw-groups/cgroup.procs && test -w /dev/shm/afw-groups/cgroup.procs && echo $kind
        umount /dev/shm/afw-groups
      done
      exit 0
    """
    done = subprocess.run(["unshare", "-UrmC", "bash", "-c", script], capture_output=True, text=True, check=False)
    return {"won": done.stdout.split()}


def kn08():
    paths = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/hostname",
             "/proc/sys/kernel/modprobe", "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sys/fs/binfmt_misc/register"]
    with open("/proc/self/oom_score_adj") as file:
        score = int(file.read())
    return {
        **{path: attempt(put, path, "") if os.path.exists(path) else "ENOENT" for path in paths},
        "lower oom_score_adj": attempt(put, "/proc/self/oom_score_adj", str(score - 1)),
    }


def kn10():
    names = ["bpf", "perf_event_open", "userfaultfd", "kexec_load", "init_module", "finit_module", "delete_module", "swapon",
             "quotactl", "acct", "settimeofday", "clock_settime", "lookup_dcookie", "iopl", "ioperm", "vhangup",
             "open_by_handle_at", "reboot"]
    return {name: in_child(lambda n=name: call(n, 0, 0, 0, 0, 0)) for name in names}


def kn11():
    return {
        "add_key": call("add_key", b"user", b"afw", b"x", 1, -3), "keyctl session": call("keyctl", 0, -3, 0, 0, 0),
        "keyctl user": call("keyctl", 0, -4, 0, 0, 0), "request_key": call("request_key", b"user", b"afw", 0, 0),
    }


def kn14():
    def node(kind, major, minor):
        path = f"node-{kind}-{minor}"
        os.mknod(path, kind | 0o600, os.makedev(major, minor))
        os.unlink(path)
    return {
        "/dev": sorted(os.listdir("/dev")),
        "opened": [name for name in ("/dev/sda", "/dev/vda", "/dev/mem", "/dev/kvm", "/dev/fuse", "/dev/tty0", "/dev/uinput", "/dev/loop-control", "/dev/net/tun")
                   if attempt(lambda n=name: os.close(os.open(n, os.O_RDWR))) == "ok"],
        "block node": attempt(node, stat.S_IFBLK, 8, 0), "char node": attempt(node, stat.S_IFCHR, 1, 1),
        "whiteout node": attempt(node, stat.S_IFCHR, 0, 0),
    }


def kn01():
    params = ctypes.create_string_buffer(256)
    return {"setup": call("io_uring_setup", 1, params), "enter": call("io_uring_enter", -1, 0, 0, 0, 0), "register": call("io_uring_register", -1, 0, 0, 0)}


def np11():
    families = {"AF_ALG": 38, "AF_VSOCK": 40, "AF_PACKET": 17, "AF_KEY": 15, "AF_RDS": 21, "AF_TIPC": 30, "AF_BLUETOOTH": 31, "AF_CAN": 29, "AF_XDP": 44}
    usable = {"unix": socket.AF_UNIX, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
    def make(family, kind=socket.SOCK_STREAM):
        socket.socket(family, kind).close()
    return {
        **{name: attempt(make, family, socket.SOCK_SEQPACKET if name == "AF_ALG" else socket.SOCK_RAW if name == "AF_PACKET" else socket.SOCK_STREAM) for name, family in families.items()},
        **{name: attempt(make, family) for name, family in usable.items()},
        "raw": attempt(make, socket.AF_INET, socket.SOCK_RAW),
        "netlink route": attempt(lambda: socket.socket(16, socket.SOCK_RAW, 0).close()),
        "netlink netfilter": attempt(lambda: socket.socket(16, socket.SOCK_RAW, 12).close()),
    }


def capabilities():
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {name: fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")}


# --- I: the terminal ----------------------------------------------------------

def tt01():
    def on_a_terminal():
        fd = os.open(os.ttyname(slave), os.O_RDWR)  # becomes the controlling terminal after setsid
        values = {}
        for name, request in (("TIOCSTI", 0x5412), ("TIOCSTI, high bits", 0x1_0000_5412), ("TIOCLINUX", 0x541C), ("TIOCLINUX, high bits", 0x7_0000_541C), ("TIOCEXCL", 0x540C)):
            libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p]
            done = libc.ioctl(fd, request, b"\x02")
            values[name] = errno.errorcode.get(ctypes.get_errno()) if done < 0 else "ok"
        values["TIOCGWINSZ"] = attempt(lambda: fcntl.ioctl(fd, 0x5413, b"\0" * 8) and None)
        return values

    master, slave = pty.openpty()
    def body():
        os.setsid()
        return on_a_terminal()
    result = in_child(body)
    os.close(master)
    return result


# --- O: resources --------------------------------------------------------------

def private(paths):
    return {path: attempt(lambda p=path: sorted(os.listdir(p))) for path in paths}


def main():
    state, supervisor = sys.argv[1], sys.argv[2]
    if capabilities()["NoNewPrivs"] != "1":
        sys.exit("walls.py: only for the inside of a sandbox")
    for name in ("/tmp/afw-predictable", "/var/tmp/afw-predictable", "/dev/shm/afw-predictable"):
        attempt(os.symlink, "/etc/hostname", name)
    print(json.dumps({
        "store": rd02_rd19(state), "processes": rd14(supervisor), "kernel": rd16(), "core": rd20(), "foreign": tc08(),
        "mounts": tc10(), "trace": kn02(), "namespaces": kn05(), "nested": kn07(state), "groups": groups(), "settings": kn08(),
        "calls": kn10(), "keys": kn11(), "devices": kn14(), "uring": kn01(), "sockets": np11(),
        "capabilities": capabilities(), "terminal": tt01(), "private": private(["/tmp", "/var/tmp", "/dev/shm"]),
        "host sockets": {p: os.path.exists(p) for p in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private")},
    }))


main()
