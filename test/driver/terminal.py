"""Job control with the driver on a real terminal (tmux).

The terminal belongs to a shell that starts supervise.py, as a user's shell
starts agentfw. Every step types and waits for what must appear. The whole
runs as one user: a driver stops its job, and may only signal its own user.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = '/usr/bin/python3 -B'


class Terminal:
    def __init__(self):
        self.name = f'agentfw-test-{os.getpid()}'
        self.user = ['setpriv', f'--reuid={harness.PLAIN_ID}',
                     f'--regid={harness.PLAIN_ID}', '--clear-groups'] \
            if os.getuid() == 0 else []
        self.dir = subprocess.run(
            [*self.user, 'mktemp', '-d', '/var/tmp/agentfw-tmux-XXXXXX'],
            check=True, capture_output=True, text=True).stdout.strip()
        self.tmux('new-session', '-d', '-x', '100', '-y', '24',
                  "env PS1='outer> ' bash --norc")
        self.type(f'cd {HERE}', 'Enter')

    def tmux(self, *args):
        env = {'PATH': '/usr/bin:/bin', 'HOME': self.dir, 'TERM': 'xterm',
               'TMUX_TMPDIR': self.dir, 'LANG': 'C.UTF-8',
               'SIMPLE': os.environ.get('SIMPLE', ''),
               'BOX_DIR': self.dir}
        return subprocess.run(
            [*self.user, 'tmux', '-L', self.name, '-f', '/dev/null', *args],
            env=env, capture_output=True, text=True).stdout

    def type(self, *keys):
        for key in keys:
            self.tmux('send-keys', key)

    def screen(self):
        lines = self.tmux('capture-pane', '-p').splitlines()
        return [line.rstrip() for line in lines if line.strip()]

    def wait(self, *last, timeout=120):
        """Until the last lines of the screen are (or begin with) these."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            lines = self.screen()[-len(last):]
            if len(lines) == len(last) and all(
                    line.startswith(want) for line, want in zip(lines, last)):
                return
            time.sleep(0.05)
        raise AssertionError(f'{last} did not appear in {self.screen()[-6:]}')

    def start(self, *argv):
        self.type('clear', 'Enter')
        self.wait('outer>')
        self.type(f'{PYTHON} supervise.py {" ".join(argv)}', 'Enter')

    def status(self, n):
        self.wait('events started', 'outer>')
        self.type('echo status $?', 'Enter')
        self.wait(f'status {n}', 'outer>')

    def close(self):
        self.tmux('kill-server')
        time.sleep(0.2)  # what it hung up puts its own things away
        shutil.rmtree(self.dir, ignore_errors=True)


def stopped(t):
    t.wait('[1]+  Stopped', 'outer>')
    t.type('echo back', 'Enter')
    t.wait('back', 'outer>')
    t.type('fg', 'Enter')


def cat_stops_and_goes_on(t):
    t.start('sh', '-c', "'echo up; exec cat'")
    t.wait('up')
    t.type('abc', 'Enter')
    t.wait('abc', 'abc')
    t.type('C-z')
    stopped(t)
    t.type('def', 'Enter')
    t.wait('def', 'def')
    t.type('C-d')
    t.status(0)


def vim_suspends_itself_and_comes_back(t):
    t.start('vim', '-u', 'NONE', 'text')
    t.wait('first line', '"text"')
    t.type('C-z')
    stopped(t)
    t.wait('first line', 'first line')
    t.type(':cq 3', 'Enter')
    t.status(3)


def less_stops_and_comes_back(t):
    t.start('less', 'text')
    t.wait('first line', 'text')
    t.type('C-z')
    stopped(t)
    t.wait('first line', ':')
    t.type('q')
    t.status(0)


def interactive_shell_has_its_own_jobs(t):
    t.start('bash', '--norc', '-i')
    t.wait('inner>')
    t.type('tty', 'Enter')
    t.wait('/dev/console', 'inner>')
    t.type('echo up; cat', 'Enter')
    t.wait('up')
    t.type('here', 'Enter')
    t.wait('here', 'here')
    t.type('C-z')
    t.wait('[1]+  Stopped', 'inner>')
    t.type('fg', 'Enter')
    t.wait('cat')
    t.type('C-c')
    t.wait('^C', 'inner>')
    t.type('suspend -f', 'Enter')
    stopped(t)
    time.sleep(0.3)
    t.type('Enter', 'echo again', 'Enter')
    t.wait('again', 'inner>')
    t.type('exit 5', 'Enter')
    t.status(5)


def interrupt_reaches_the_agent_alone(t):
    script = '\'trap "echo caught; exit 9" INT; echo up; sleep 1000\''
    t.start('sh', '-c', script)
    t.wait('up')
    t.type('C-c')
    t.wait('^Ccaught', 'events started', 'outer>')
    t.status(9)


HELD = ('import os, signal, sys, termios; termios.tcflow(1, termios.TCOOFF); '
        'os.kill(os.getpid(), int(sys.argv[1]))')


def output_that_the_agent_held_goes_on(t):
    """At its end, and for the shell when it stops."""
    t.start('python3', '-c', f"'{HELD}'", '0')
    t.status(0)
    t.start('python3', '-c', f"'{HELD}'", str(int(signal.SIGSTOP)))
    t.type('echo back', 'Enter')
    t.wait('back', 'outer>')
    t.type('fg', 'Enter')
    t.status(0)


def main():
    tests = [cat_stops_and_goes_on, vim_suspends_itself_and_comes_back,
             less_stops_and_comes_back, interactive_shell_has_its_own_jobs,
             interrupt_reaches_the_agent_alone,
             output_that_the_agent_held_goes_on]
    missing = [p for p in ('tmux', 'vim', 'less', 'setpriv')
               if not shutil.which(p)]
    passed = failed = 0
    for function in tests:
        name = function.__name__.replace('_', ' ')
        if missing:
            print(f'skip - {name}: no {" ".join(missing)}')
            continue
        terminal = Terminal()
        try:
            function(terminal)
            print(f'ok - {name}')
            passed += 1
        except Exception as error:
            print(f'not ok - {name}: {error}')
            failed += 1
        finally:
            terminal.close()
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
