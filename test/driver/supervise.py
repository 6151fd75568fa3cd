"""A stand-in for the supervisor on a terminal: supervise.py ARGV… in a box.

Runs ARGV in a small view with `tty 1`, in its own process group as a shell
started it, and exits with its status. Used by terminal.py, and by hand.
"""
import os
import signal
import sys

import harness


def main():
    mode = os.environ.get('BOX_MODE', 'user')
    ids = (0, 0) if mode == 'root' else (
        (harness.PLAIN_ID,) * 2 if os.getuid() == 0
        else (os.getuid(), os.getgid()))
    box = harness.Box(ids)
    box.mode = mode
    try:
        box.write(box.path('host', 'text'), 'first line\n' * 200)
        env = ['PATH=/usr/bin:/bin', 'HOME=/work', 'PS1=inner> ',
               'TERM=' + os.environ.get('TERM', 'dumb')]
        # As the real one: Ctrl-C and Ctrl-Z are the agent's to answer.
        signal.signal(signal.SIGINT, lambda *_: None)
        if not os.environ.get('SIMPLE'):
            signal.signal(signal.SIGTSTP, lambda *_: None)
        run = harness.Run(box, box.spec(*sys.argv[1:], tty=1, env=env),
                          stdin=None, stdout=None)
        stops = 0
        while run.read_events(None):
            seen = [e['event'] for e in run.events].count('stopped')
            if seen > stops and not os.environ.get('SIMPLE'):
                os.kill(os.getpid(), signal.SIGSTOP)
            stops = seen
        run.finish(timeout=None)
        print('events', ' '.join(e['event'] for e in run.events))
        return run.status
    finally:
        box.remove()


if __name__ == '__main__':
    sys.exit(main())
