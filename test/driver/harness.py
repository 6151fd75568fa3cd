"""Runs the built driver with a handwritten spec, as root or as a plain user.

Only the standard library; no fixture is left behind. See e2e.py.
"""
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, '..', '..', 'driver', 'build')
PLAIN_ID = 64217  # an id that nobody has


def token(value):
    return value if isinstance(value, bytes) else str(value).encode()


def encode(*records):
    out = [b'agentfw-spec 1']
    for record in records:
        out += [token(part) for part in record]
    out.append(b'end')
    return b''.join(part + b'\0' for part in out)


class Box:
    """A temporary store with layers, owned by the id that the agent gets."""

    def __init__(self, ids):
        self.uid, self.gid = ids
        self.mode = 'user'
        self.dir = tempfile.mkdtemp(
            prefix='agentfw-test-', dir=os.environ.get('BOX_DIR', '/var/tmp'))
        os.chmod(self.dir, 0o755)
        self.count = 0
        self.driver = shutil.copy(os.path.join(BUILD, 'agentfw-driver'),
                                  self.path('driver'))
        self.attempt = shutil.copy(os.path.join(BUILD, 'try'),
                                   self.path('try'))
        self.newroot = self.mkdir('newroot')
        self.host = self.mkdir('host')

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def own(self, path, mode=None):
        if mode is not None:
            os.chmod(path, mode)
        os.chown(path, self.uid, self.gid)
        return path

    def mkdir(self, *parts, mode=0o755):
        os.makedirs(self.path(*parts), exist_ok=True)
        return self.own(self.path(*parts), mode)

    def write(self, path, text, mode=0o644):
        with open(path, 'w') as f:
            f.write(text)
        return self.own(path, mode)

    def layer(self):
        self.count += 1
        return (self.mkdir('layers', str(self.count), 'upper'),
                self.mkdir('layers', str(self.count), 'work'))

    def overlay(self, dst, lower, options=None, layer=None):
        upper, work = layer or self.layer()
        if options is None:
            options = 'trusted,volatile' if self.mode == 'root' else \
                'user,volatile'
        return ('overlay', dst, upper, work, options, 1, lower)

    def view(self, *more, ops=None):
        """A small whole view: system read-only, /work a layer over host."""
        if ops is None:
            ops = [('dir', p, '755') for p in
                   ('/usr', '/etc', '/proc', '/dev', '/tmp', '/work', '/t')]
            ops += [('bind', '/usr', '/usr', 'ro'),
                    ('bind', '/etc', '/etc', 'ro')]
            ops += [('symlink', 'usr/' + p, '/' + p)
                    for p in ('bin', 'lib', 'lib64', 'sbin')]
            ops += [('bind', self.path('try'), '/t/try', 'ro')]
            ops += [('proc', '/proc'), ('dev', '/dev'),
                    ('tmpfs', '/tmp', '1777', 0, '')]
            ops += [self.overlay('/work', self.host)]
        return ops + list(more)

    def spec(self, *argv, ops=None, more=(), net='off', nested='allow',
             tty=0, cwd='/work', extra=(), env=('PATH=/usr/bin:/bin',)):
        records = [('mode', self.mode), ('ids', self.uid, self.gid),
                   ('newroot', self.newroot), ('cwd', cwd), ('net', net),
                   ('nested', nested), ('tty', tty), *extra]
        records += [('arg', a) for a in argv] + [('env', e) for e in env]
        return encode(*records, *self.view(*more, ops=ops))

    def enter_spec(self, run, *argv, nested='allow', net='off', cwd='/work'):
        with open(f'/proc/{run.pid}/stat') as f:
            start = f.read().rsplit(')', 1)[1].split()[19]
        records = [('mode', self.mode), ('ids', self.uid, self.gid),
                   ('cwd', cwd), ('net', net), ('nested', nested), ('tty', 0),
                   ('target', run.pid, start)]
        records += [('arg', a) for a in argv]
        return encode(*records, ('env', 'PATH=/usr/bin:/bin'))

    def remove(self):
        subprocess.run(['chmod', '-R', 'u+rwx', self.dir], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


class Run:
    """A driver process; its events are read as they come."""

    def __init__(self, box, spec, verb='run', stdin=subprocess.DEVNULL,
                 stdout=subprocess.PIPE, before=None, pass_more=(),
                 gate=False):
        read, write = os.pipe()
        self.sock, theirs = socket.socketpair()
        os.set_inheritable(read, True)
        fds = [read, theirs.fileno()]
        if gate:
            self.gate, gates = socket.socketpair()
            fds.append(gates.fileno())

        def child():
            # first out of the way of each other
            high = [os.dup2(fd, 130 + i) for i, fd in enumerate(fds)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            if os.getuid() == 0 and box.uid != 0:
                os.setgroups([])
                os.setresgid(box.gid, box.gid, box.gid)
                os.setresuid(box.uid, box.uid, box.uid)
            if before:
                before()

        self.process = subprocess.Popen(
            [box.driver, verb], stdin=stdin, stdout=stdout,
            stderr=subprocess.PIPE if stdout == subprocess.PIPE else None,
            preexec_fn=child, pass_fds=(*range(3, 3 + len(fds)), *pass_more), cwd=box.dir)
        os.close(read)
        theirs.close()
        if gate:
            gates.close()
        self.pid = self.process.pid
        self.events, self.buffer = [], b''
        try:
            while spec:
                spec = spec[os.write(write, spec):]
        except BrokenPipeError:
            pass
        os.close(write)

    def read_events(self, timeout):
        ready, _, _ = select.select([self.sock], [], [], timeout)
        if not ready:
            return False
        data = self.sock.recv(65536)
        self.buffer += data
        while len(self.buffer) >= 4:
            n, = struct.unpack('<I', self.buffer[:4])
            if len(self.buffer) < 4 + n:
                break
            self.events.append(json.loads(self.buffer[4:4 + n]))
            self.buffer = self.buffer[4 + n:]
        return bool(data)

    def wait_event(self, name, timeout=120):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for event in self.events:
                if event['event'] == name:
                    return event
            if not self.read_events(end - time.monotonic()):
                break
        found = [e for e in self.events if e['event'] == name]
        return found[0] if found else None

    def send(self, **command):
        data = json.dumps(command).encode()
        self.sock.sendall(struct.pack('<I', len(data)) + data)

    def finish(self, timeout=300):
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        while self.read_events(0):
            pass
        self.sock.close()
        self.status = self.process.returncode
        self.out = (out or b'').decode(errors='replace')
        self.err = (err or b'').decode(errors='replace')
        return self

    def event(self, name):
        return next((e for e in self.events if e['event'] == name), None)


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def until(ready, timeout=120):
    """Whether it came true, on however slow a machine."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.01)
    return False


def runs(words):
    """Whether a process has this command line; a bare machine has no ps."""
    wanted = words.replace(' ', '\0').encode() + b'\0'
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                if f.read() == wanted:
                    return True
        except OSError:
            pass
    return False


def size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def gone(pids):
    return until(lambda: not any(alive(p) for p in pids))


def catches(pid, sig):
    with open(f'/proc/{pid}/status') as f:
        line = next(line for line in f if line.startswith('SigCgt:'))
    return int(line.split()[1], 16) >> (sig - 1) & 1 == 1


def mounts_of(box):
    """Of this namespace; others may mount something meanwhile."""
    with open('/proc/self/mountinfo') as f:
        return [line for line in f if box.dir in line]
