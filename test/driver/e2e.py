"""The built driver, end to end: what it does and what it must not let happen.

Prints one line per test and a closing `N passed, N failed`. As root every test
runs in root mode and, as an id that nobody has, in user mode; as a plain user
the root-mode ones are skipped by name. `e2e.py WORD…` runs those with a word
in their name.
"""
import ctypes
import os
import pty
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import harness
from harness import (Box, Run, alive, catches, encode, gone, mounts_of, runs,
                     size, until)

TESTS = []
REFUSED = {  # try.c: what must be answered, in every mode
    'EAFNOSUPPORT': 'socket_alg socket_vsock socket_packet socket_bluetooth '
                    'socket_key socket_xdp socket_high socketpair_tipc '
                    'socketpair_generic '
                    'socket_audit socket_netfilter',
    'EPROTONOSUPPORT': 'socket_mptcp socket_mptcp6',
    'OK': 'socket_unix socket_inet socket_route socket_diag personality_get '
          'unshare_files setpriority_own ioprio_own',
    'EBADF': 'tiocgwinsz dupfd',
    'EINVAL': 'setlease setlease_high setdeleg',
    'ENOSYS': 'io_uring_setup io_uring_enter io_uring_register x32 keyctl_join clone3',
    'EPERM': 'tiocsti tiocsti_high tioclinux tioclinux_high tiocsetd '
             'tiocexcl setpriority_job ioprio_job btrfs_snapshot '
             'btrfs_snapshot_v2 bcachefs_subvolume '
             'fscrypt_remove_key fscrypt_remove_key_all '
             'kdskbent kdskbsent kdskbdiacr kdskbdiacruc kdsetkeycode '
             'kdsetmode kdskbmode kdskbmute pio_font pio_unimap '
             'pio_scrnmap pio_uniscrnmap pio_cmap kdfontop '
             'socket_raw keyctl add_key request_key bpf perf_event_open '
             'userfaultfd kexec_load init_module finit_module delete_module '
             'swapon reboot clock_settime settimeofday adjtimex clock_adjtime '
             'quotactl quotactl_fd name_to_handle_at open_by_handle_at '
             'lookup_dcookie kcmp acct syslog vhangup personality_norandom '
             'modify_ldt iopl ioperm mount remount_rw remount_usr_rw bind '
             'move make_shared umount umount_proc pivot_root open_tree '
             'fsopen mount_setattr unshare_mount unshare_net sethostname '
             'mknod_block ptrace_init vm_readv_init kill_init',
    'EROFS': 'write_usr write_root',
    'EACCES': 'open_init_mem open_init_root open_init_fd open_init_environ',
}
REFUSED_NESTED_DENY = {
    'EPERM': 'unshare_user setns chroot new_listener'}
# What the filter refuses even who has every capability: any kind of agent,
# and with `nested deny` also.
BY_FILTER = {
    'EAFNOSUPPORT': REFUSED['EAFNOSUPPORT'],
    'EPROTONOSUPPORT': REFUSED['EPROTONOSUPPORT'],
    'ENOSYS': REFUSED['ENOSYS'] + ' uselib',
    'EINVAL': REFUSED['EINVAL'],
    'EPERM': 'tiocsti tiocsti_high tioclinux tioclinux_high tiocsetd '
             'tiocexcl setpriority_job ioprio_job btrfs_snapshot '
             'btrfs_snapshot_v2 bcachefs_subvolume fscrypt_remove_key '
             'fscrypt_remove_key_all kdskbent kdskbsent kdskbdiacr '
             'kdskbdiacruc kdsetkeycode kdsetmode kdskbmode kdskbmute '
             'pio_font pio_unimap pio_scrnmap pio_uniscrnmap pio_cmap '
             'kdfontop keyctl add_key request_key bpf '
             'perf_event_open userfaultfd kexec_load kexec_file_load '
             'init_module finit_module delete_module swapon swapoff reboot '
             'clock_settime settimeofday adjtimex clock_adjtime quotactl '
             'quotactl_fd name_to_handle_at open_by_handle_at lookup_dcookie '
             'kcmp acct syslog vhangup personality_norandom modify_ldt iopl '
             'ioperm'}
BY_FILTER_NESTED_DENY = {
    'EPERM': 'mount remount_rw remount_usr_rw bind move make_shared umount '
             'umount_proc pivot_root chroot open_tree open_tree_attr '
             'move_mount fsopen fsconfig fsmount fspick mount_setattr '
             'clone_mount clone_cgroup unshare_user unshare_mount '
             'unshare_net unshare_time unshare_cgroup setns new_listener'}
BY_FILTER_NO_CGROUP = {'EPERM': 'clone_cgroup unshare_cgroup'}


def test(*modes):
    def add(function):
        TESTS.append((function, modes or ('user', 'root')))
        return function
    return add


def equal(got, want, what=''):
    if got != want:
        raise AssertionError(f'{what} {got!r} is not {want!r}')


def contains(text, part):
    if part not in text:
        raise AssertionError(f'{part!r} is not in {text!r}')


def run(box, *argv, **options):
    stdin = options.pop('stdin', subprocess.DEVNULL)
    stdout = options.pop('stdout', subprocess.PIPE)
    before = options.pop('before', None)
    return Run(box, box.spec(*argv, **options), stdin=stdin, stdout=stdout,
               before=before).finish()


def sh(box, script, **options):
    return run(box, 'sh', '-c', script, **options)


def good(result, out=None):
    equal(result.status, 0, f'{result.events} {result.err}')
    if out is not None:
        equal(result.out, out)
    return result


def refused(result, code, part='', status=125):
    equal(result.status, status, str(result.events))
    error = result.events[-1]
    equal((error['event'], error['code'], error['exit']),
          ('error', code, status))
    contains(error['message'], part)
    return error


# --- how it ends ---

@test()
def exit_status_is_the_agents(box):
    for n in (0, 7, 255):
        result = sh(box, f'exit {n}')
        equal((result.status, result.events[-1]),
              (n, {'event': 'exit', 'code': n}))
    names = [e['event'] for e in result.events if e['event'] != 'degraded']
    equal(names, ['started', 'exit'])


@test()
def exit_status_of_a_signal_is_128_and_more(box):
    for n in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
        result = sh(box, f'kill -{int(n)} $$')
        equal((result.status, result.events[-1]),
              (128 + n, {'event': 'exit', 'signal': n}))


@test()
def missing_program_is_127_and_others_126(box):
    refused(run(box, 'no-such-program'), 'exec', "can't execute", 127)
    refused(run(box, '/no/such'), 'exec', '/no/such', 127)
    box.write(box.host + '/plain', 'text')
    box.write(box.host + '/gone', '#!/no/interpreter\n', 0o755)
    refused(run(box, './plain'), 'exec', 'Permission denied', 126)
    contains(refused(run(box, './gone'), 'exec', '', 126)['hint'],
             'interpreter')
    refused(run(box, '/usr'), 'exec', '', 126)
    box.write(box.host + '/windows', '#!/bin/sh\r\necho x\r\n', 0o755)
    contains(refused(run(box, './windows'), 'exec', '', 126)['hint'], 'CR LF')


@test()
def script_without_a_hash_bang_runs_as_by_execvp(box):
    box.write(box.host + '/script', 'echo "$1"; exit 3', 0o755)
    result = run(box, './script', 'word')
    equal((result.status, result.out), (3, 'word\n'))


@test()
def program_is_found_by_the_specs_own_path(box):
    box.write(box.host + '/hello', '#!/bin/sh\necho "$PATH"', 0o755)
    good(run(box, 'hello', env=['PATH=/nowhere:/work']), '/nowhere:/work\n')


@test()
def environment_is_the_specs_alone(box):
    good(run(box, '/usr/bin/env', env=['A=1', 'B=']), 'A=1\nB=\n')


@test()
def umask_and_ignored_sighup_are_kept_other_signals_reset(box):
    def before():
        os.umask(0o027)
        for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            signal.signal(sig, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    result = good(sh(box, 'umask; grep -E "Sig(Blk|Ign)" /proc/self/status',
                     before=before))
    equal(result.out.split(), ['0027', 'SigBlk:', '0' * 16, 'SigIgn:',
                               '0' * 15 + '1'])


@test()
def missing_directory_is_told(box):
    error = refused(run(box, 'true', cwd='/work/none'), 'cwd', '/work/none')
    contains(error['hint'], 'start from another directory')


@test('user')
def closed_directory_is_told_with_its_mend(box):
    box.mkdir('host', 'closed', mode=0)
    error = refused(run(box, 'true', cwd='/work/closed'), 'cwd', 'closed')
    contains(error['hint'], 'chmod o+x')


@test()
def bad_spec_is_refused_before_any_namespace(box):
    refused(Run(box, b'agentfw-spec 1\0frob\0end\0').finish(), 'spec')
    other = box.spec('true').replace(
        b'ids\0%d\0%d\0' % (box.uid, box.gid), b'ids\x0012\x0012\0')
    if box.mode == 'user':
        refused(Run(box, other).finish(), 'spec', "caller's")
    result = Run(box, encode(('mode', 'frob'))).finish()
    refused(result, 'spec', 'frob')


@test('user')
def root_mode_is_refused_without_root(box):
    spec = box.spec('true').replace(b'mode\0user', b'mode\0root')
    refused(Run(box, spec).finish(), 'spec')


# --- the view ---

@test()
def write_goes_to_the_layer_and_not_to_the_host(box):
    box.write(box.host + '/old', 'host\n')
    good(sh(box, 'echo new >new; echo more >>old; cat old'), 'host\nmore\n')
    upper = box.path('layers', '1', 'upper')
    equal(sorted(os.listdir(box.host)), ['old'])
    equal(open(box.host + '/old').read(), 'host\n')
    equal(open(upper + '/new').read(), 'new\n')
    equal(open(upper + '/old').read(), 'host\nmore\n')


@test()
def canary_leaves_no_trace(box):
    layer = box.layer()
    os.chmod(layer[0], 0o555)
    os.utime(layer[0], ns=(10 ** 18, 2 * 10 ** 18))
    ops = box.view(ops=None)
    ops[-1] = box.overlay('/work', box.host, layer=layer)
    good(run(box, 'true', ops=ops))
    stat = os.stat(layer[0])
    equal((os.listdir(layer[0]), stat.st_mtime_ns, stat.st_mode & 0o777),
          ([], 2 * 10 ** 18, 0o555))


@test()
def canary_refuses_an_operation_that_shadows_a_layer_E26(box):
    over = ('bind', box.host, '/work', 'rw')
    refused(run(box, 'true', more=[over]), 'canary', '/work')
    refused(run(box, 'true', more=[('tmpfs', '/work', '755', 0, '')]),
            'canary', '/work')


@test()
def layer_may_be_closed_by_what_is_read_only(box):
    over = ('bind', box.host, '/work', 'ro')
    result = sh(box, 'ls -A; echo x >n', more=[over])
    contains(result.err, 'Read-only file system')
    equal(os.path.exists(box.host + '/n'), False)
    refused(run(box, 'true', more=[over, ('bind', box.host, '/work', 'rw')]),
            'canary', '/work')


@test()
def ancestor_mount_over_a_layer_is_refused_E26(box):
    os.mkdir(box.host + '/sub')
    ops = box.view()[:-1] + [
        ('dir', '/a', '755'), ('dir', '/a/b', '755'),
        box.overlay('/a/b', box.host), ('bind', box.host, '/a', 'rw'),
        box.overlay('/work', box.host)]
    refused(run(box, 'true', ops=ops), 'canary', '/a/b')


@test()
def passthrough_reaches_the_host(box):
    through = box.mkdir('through')
    box.mkdir('host', 'through')
    good(sh(box, 'echo x >through/file',
            more=[('bind', through, '/work/through', 'rw')]))
    equal(os.listdir(through), ['file'])
    equal(os.listdir(box.host + '/through'), [])


@test()
def read_only_bind_cannot_be_written(box):
    given = box.mkdir('given')
    box.write(given + '/f', 'text')
    more = [('bind', given, '/t/given', 'ro'),
            ('bind', given + '/f', '/t/file', 'ro')]
    result = sh(box, 'cat /t/file; for f in /t/given/f /t/given/n /t/file; '
                     'do (echo x >$f) 2>/dev/null && echo wrote; done; true',
                more=more)
    good(result, 'text')


@test()
def several_lowers_the_topmost_first(box):
    shim = box.mkdir('shim')
    box.write(shim + '/a', 'shim')
    box.write(box.host + '/a', 'host')
    box.write(box.host + '/b', 'host')
    upper, work = box.layer()
    options = box.overlay('/work', box.host)[4]
    ops = box.view()[:-1] + [
        ('overlay', '/work', upper, work, options, 2, shim, box.host)]
    good(sh(box, 'cat a b', ops=ops), 'shimhost')


@test()
def what_a_shim_takes_away_does_not_exist(box):
    """The shim lies below the base, as the store lies below a home."""
    os.makedirs(box.host + '/dir/in')
    shim = box.mkdir('host', 'store')
    for name in ('key', 'dir/key', 'dir/in/key', 'dir/in/seen'):
        box.write(f'{box.host}/{name}', 'secret')
    for name in ('dir', 'dir/in'):
        box.own(f'{box.host}/{name}', 0o750)
    os.utime(box.host + '/dir/in', (10, 10))
    upper, work = box.layer()
    options = box.overlay('/work', box.host)[4]
    gone = [f'{box.host}/{name}' for name in
            ('key', 'dir/key', 'dir/in/key', 'dir/later', 'none/such')]
    ops = [('shim', shim, box.host, len(gone), *gone)] + box.view()[:-1] + [
        ('overlay', '/work', upper, work, options, 2, shim, box.host)]
    good(sh(box, 'ls dir/in; stat -c "%a %Y" dir/in; ls -d key dir/* 2>&1; '
                 'ln dir/key x 2>&1; cat /proc/self/root/work/dir/key 2>&1; '
                 'echo own >key; echo >dir/in/seen; '
                 'test $(stat -c %d dir) = $(stat -c %d dir/in/seen) && echo one',
            ops=ops),
         "seen\n750 10\nls: cannot access 'key': No such file or directory\n"
         "dir/in\nln: failed to access 'dir/key': No such file or directory\n"
         'cat: /proc/self/root/work/dir/key: No such file or directory\none\n')
    equal(sorted(os.listdir(upper)), ['dir', 'key'])
    equal(os.listdir(upper + '/dir/in'), ['seen'])
    equal(open(box.host + '/key').read(), 'secret')
    equal(os.listdir(shim), [])


@test()
def a_shim_goes_up_and_down_again(box):
    """Deeper than it keeps open, to names that begin like others, and back."""
    deep = '/'.join(['d'] * 70)
    names = [f'{deep}/key', 'd/d/key', 'e/key', 'd/d/d/key', 'd/none/key',
             'd.x/key', 'd/f/key', f'{deep}/more/key', 'd/d/also']
    for name in names:
        if 'none' not in name:
            os.makedirs(os.path.dirname(f'{box.host}/{name}'), exist_ok=True)
            box.write(f'{box.host}/{name}', 'secret')
    for top, _, _ in os.walk(box.host, topdown=False):
        if top != box.host:
            box.own(top, 0o750)
        os.utime(top, (10, 10))
    shim = box.mkdir('shim')
    upper, work = box.layer()
    options = box.overlay('/work', box.host)[4]
    gone = [f'{box.host}/{name}' for name in names]
    ops = [('shim', shim, box.host, len(gone), *gone)] + box.view()[:-1] + [
        ('overlay', '/work', upper, work, options, 2, shim, box.host)]
    good(sh(box, 'find . -type f; find * -type d -printf "%Ts %m\\n" | sort | uniq -c',
            ops=ops), '     74 10 750\n')


@test()
def odd_names_need_no_escaping(box):
    odd = box.mkdir('o:d,d\\n a=m"e')
    box.write(odd + '/f', 'odd')
    upper = box.mkdir('u:p,p\\er')
    work = box.mkdir('w:o,r\\k')
    ops = box.view()[:-1] + [
        box.overlay('/work', odd, layer=(upper, work))]
    good(sh(box, 'cat f; echo n >n', ops=ops), 'odd')
    equal(os.listdir(upper), ['n'])


@test('root')
def read_only_bind_holds_for_what_is_mounted_below_it(box):
    given, below = box.mkdir('given'), box.mkdir('given', 'below')
    subprocess.run(['mount', '-t', 'tmpfs', 'agentfw-test', below], check=True)
    try:
        result = sh(box, '(echo x >/t/given/below/n) 2>/dev/null && '
                         'echo wrote; true',
                    more=[('bind', given, '/t/given', 'ro')])
        good(result, '')
        equal(os.listdir(below), [])
    finally:
        subprocess.run(['umount', below], check=True)


@test()
def hidden_things_are_unreadable(box):
    box.mkdir('host', 'secret')
    box.write(box.host + '/secret/key', 'KEY')
    box.write(box.host + '/token', 'TOKEN')
    os.symlink('token', box.host + '/link')
    more = [('hide', '/work/secret'), ('hide', '/work/token'),
            ('hide', '/work/link'), ('hide', '/work/missing'),
            ('hide', '/work/token/below'), ('hide', '/nowhere/at/all')]
    result = sh(box, 'stat -c %a secret; ls secret; cat secret/key token link; '
                     'cat /proc/self/cwd/token; echo >token; ls -A; '
                     'mv secret s 2>/dev/null && echo moved; '
                     'rm -f token; ln token t2', more=more)
    if 'KEY' in result.out or 'TOKEN' in result.out or 'moved' in result.out:
        raise AssertionError(result.out)
    equal(result.out.startswith('0\n'), True, result.out)
    equal(open(box.host + '/token').read(), 'TOKEN')


@test()
def hide_does_not_follow_a_symlink_on_the_way(box):
    box.mkdir('host', 'here')
    box.write(box.host + '/here/passwd', '')
    os.symlink('/etc', box.host + '/way')
    os.symlink('here', box.host + '/near')
    for path in ('/work/way/passwd', '/work/near/passwd'):
        refused(run(box, 'true', more=[('hide', path)]), 'hide', path)


@test()
def sources_that_are_symlinks_are_refused(box):
    os.symlink('/etc', box.path('link'))
    refused(run(box, 'true', more=[('bind', box.path('link'), '/t/l', 'ro')]),
            'mount', 'symlink')


@test()
def small_things_are_made(box):
    more = [('dir', '/d', '1777'), ('dir', '/d', '1777'),
            ('file', '/d/f', '640', 'text\n'), ('symlink', 'a b/../c', '/l'),
            ('tmpfs', '/t/ro', '755', 4096, 'ro,noexec')]
    result = good(sh(box, 'stat -c %a /d /d/f; cat /d/f; readlink /l; '
                          '(echo >/t/ro/x) 2>/dev/null || echo ro',
                     more=more))
    equal(result.out, '1777\n640\ntext\na b/../c\nro\n')


@test()
def existing_directory_is_an_error(box):
    refused(run(box, 'true', more=[('dir', '/usr/bin', '755')]), 'view',
            '/usr/bin')


@test()
def root_of_the_view_is_read_only(box):
    result = sh(box, 'mkdir /x || echo >/y || mkdir /t/x')
    if result.status == 0:
        raise AssertionError('the root can be written')


@test()
def remount_ro_makes_a_layer_read_only(box):
    result = sh(box, '(echo >x) 2>/dev/null || echo refused',
                more=[('remount-ro', '/work')])
    good(result, 'refused\n')
    refused(run(box, 'true', more=[('remount-ro', '/usr/bin')]), 'mount')


@test()
def volatile_layer_is_mounted_again_after_a_kill(box):
    layer = box.layer()
    ops = box.view()[:-1] + [box.overlay('/work', box.host, layer=layer)]
    first = Run(box, box.spec('sh', '-c', 'echo 1 >f; sleep 1000', ops=ops))
    first.wait_event('started')
    equal(until(lambda: size(layer[0] + '/f') == 2), True)
    os.kill(first.pid, signal.SIGKILL)
    first.finish()
    if os.getuid() == 0:
        equal(os.path.exists(layer[1] + '/work/incompat/volatile'), True)
    good(sh(box, 'cat f; rm f', ops=ops), '1\n')
    good(sh(box, 'ls', ops=ops), '')


@test()
def layer_without_programs_executes_none(box):
    family = 'trusted' if box.mode == 'root' else 'user'
    script = 'printf "#!/bin/sh\\necho ran\\n" >s; chmod +x s; ./s'
    for more, expected in (('', 'ran\n'), (',noexec', '')):
        ops = box.view()[:-1] + [box.overlay('/work', box.host,
                                             f'{family},volatile{more}')]
        result = sh(box, f'({script}) 2>/dev/null || :', ops=ops)
        good(result, expected)
    result = run(box, './s', ops=ops)
    equal((result.status, 'mount with noexec' in str(result.events)),
          (126, True))


@test()
def mounts_of_the_view_bring_no_devices_and_no_rights(box):
    layer = 'trusted' if box.mode == 'root' else 'user'
    more = [('dir', '/careful', '755'),
            box.overlay('/careful', box.host, f'{layer},nosuid,noexec')]
    out = good(run(box, 'cat', '/proc/self/mountinfo', more=more)).out
    flags = {line.split()[4]: line.split()[5].split(',')
             for line in out.splitlines()}
    for place, wanted in (('/tmp', 'nosuid nodev'), ('/work', 'nosuid nodev'),
                          ('/proc', 'nosuid nodev noexec'),
                          ('/usr', 'ro nosuid nodev'), ('/etc', 'ro nodev'),
                          ('/dev', 'nosuid'), ('/dev/null', 'ro nosuid noexec'),
                          ('/careful', 'nosuid nodev noexec')):
        lacks = set(wanted.split()) - set(flags[place])
        equal((place, lacks), (place, set()))


@test()
def overlapping_layers_are_explained_E3_E11(box):
    upper = box.mkdir('host', 'u')
    work = box.mkdir('host', 'u', 'w')
    ops = box.view()[:-1] + [box.overlay('/work', box.host,
                                         layer=(upper, work))]
    refused(run(box, 'true', ops=ops), 'mount', '/work')


@test()
def dev_is_minimal_and_works(box):
    result = good(sh(box, 'ls /dev | tr "\\n" " "; echo x >/dev/null; '
                          'head -c 3 /dev/zero | wc -c; ls /dev/pts; '
                          'test -c /dev/tty && test -w /dev/shm && echo ok; '
                          'stat -c %a /dev'))
    equal(result.out, 'fd full mqueue null ptmx pts random shm stderr stdin '
                      'stdout tty urandom zero 3\nptmx\nok\n755\n')


@test()
def pseudo_terminals_can_be_opened(box):
    good(run(box, 'python3', '-c', 'import pty,os; m,s=pty.openpty(); '
             'print(os.ttyname(s))', env=['PATH=/usr/bin']), '/dev/pts/0\n')


@test()
def hostname_and_own_namespaces(box):
    good(sh(box, 'uname -n', extra=[('hostname', 'box')]), 'box\n')
    mine = {k: os.readlink(f'/proc/self/ns/{k}') for k in
            ('user', 'mnt', 'pid', 'ipc', 'uts', 'net', 'cgroup')}
    result = good(sh(box, 'readlink /proc/self/ns/*'))
    for name, link in mine.items():
        if link in result.out.split():
            raise AssertionError(f'{name} is shared')


@test()
def net_off_has_loopback_alone(box):
    result = good(sh(box, 'tail -n +3 /proc/net/dev | cut -d: -f1; '
                          'cat /proc/net/route | wc -l'))
    equal(result.out.split(), ['lo', '1'])


@test()
def net_host_is_the_hosts(box):
    good(sh(box, 'readlink /proc/self/ns/net', net='host'),
         os.readlink('/proc/self/ns/net') + '\n')


# --- walls ---

def judge(result, expected):
    got = dict(line.split() for line in result.out.splitlines())
    wrong = []
    for errno, names in expected.items():
        for name in names.split():
            if name in got and got[name] != errno:
                wrong.append(f'{name} {got[name]} not {errno}')
    if wrong:
        raise AssertionError('; '.join(wrong))
    return got


@test()
def forbidden_calls_fail_KN01_KN07_KN10_KN11_NP08_NP10_NP11_TT01_TT02(box):
    got = judge(good(run(box, '/t/try')), REFUSED)
    equal(len(got) > 90, True)
    equal(got['unshare_user'], 'OK')
    equal(got['open_proc_sys'] in ('EACCES', 'EROFS'), True)
    equal(got['open_sysrq'] in ('EACCES', 'EROFS', 'ENOENT'), True)


def filtered(box, nested, names):
    """As the machine's root, who lacks nothing; its mounts are its own."""
    out = subprocess.run(
        ['unshare', '-mun', os.path.join(harness.BUILD, 'filtered'), nested,
         box.attempt, *names], capture_output=True, text=True,
        start_new_session=True).stdout
    return dict(line.split() for line in out.splitlines())


@test('root')
def the_filter_refuses_without_the_help_of_missing_capabilities(box):
    for nested, tables, works in (
            ('allow', [BY_FILTER], 'unshare_mount unshare_cgroup setpriority_own '
             'ioprio_own'),
            ('no-cgroup', [BY_FILTER, BY_FILTER_NO_CGROUP], 'unshare_mount'),
            ('deny', [BY_FILTER, BY_FILTER_NESTED_DENY], 'unshare_files')):
        want = {name: errno for table in tables
                for errno, names in table.items() for name in names.split()}
        want.update({name: 'OK' for name in works.split()})
        got = filtered(box, nested, want)
        wrong = {name: (nested, got[name], errno) for name, errno in want.items()
                 if name in got and got[name] != errno}
        equal(wrong, {})
        equal(len(got) > 50, True)


@test()
def nested_deny_refuses_namespaces_too_KN05_KN19_TC11(box):
    judge(good(run(box, '/t/try', nested='deny')),
          {**REFUSED, **{'OK': 'socket_unix socket_inet'}})
    judge(run(box, '/t/try', nested='deny'), REFUSED_NESTED_DENY)
    if box.mode == 'user':  # as root the limit is on a read-only mount
        good(sh(box, 'cat /proc/sys/user/max_user_namespaces', nested='deny'),
             '0\n')


@test()
def nested_no_cgroup_refuses_those_namespaces_alone(box):
    script = ('unshare -U true && echo user; unshare -Ur unshare -C true '
              '2>/dev/null || echo refused; unshare -UrC true 2>/dev/null || '
              'echo refused')
    good(sh(box, script, nested='no-cgroup'), 'user\nrefused\nrefused\n')
    good(sh(box, 'unshare -UrC true'))


@test()
def calls_by_the_32_bit_entry_kill_TC08(box):
    if os.uname().machine == 'x86_64':
        equal(run(box, '/t/try', 'compat').status, 128 + signal.SIGSYS)


@test()
def no_capabilities_no_new_privileges_no_core(box):
    result = good(sh(box, 'grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status;'
                          ' ulimit -Hc'))
    want = '00000000800004fb' if box.mode == 'root' else '0' * 16
    values = result.out.split()
    equal(values[1:10:2], ['0' * 16, want, want, want, '0' * 16])
    equal(values[11::2] + values[-1:], ['1', '2', '0'])


@test()
def only_the_standard_descriptors_are_inherited(box):
    more = [os.open('/', os.O_PATH), os.open('/etc', os.O_RDONLY)]
    os.dup2(more[0], 251)
    runner = Run(box, box.spec('sh', '-c', 'ls /proc/self/fd | tr "\\n" " "'),
                 pass_more=(*more, 251)).finish()
    for fd in (*more, 251):
        os.close(fd)
    good(runner, '0 1 2 3 ')


@test()
def directory_as_standard_input_is_refused(box):
    fd = os.open('/', os.O_RDONLY)
    result = run(box, 'true', stdin=fd)
    os.close(fd)
    refused(result, 'stdio', 'directory')


@test()
def file_on_standard_input_cannot_be_written(box):
    path = box.write(box.path('input'), 'one\ntwo\n')
    with open(path) as f:
        result = sh(box, 'cat; for i in /proc/self/fd/0 /dev/stdin; do '
                         '(echo evil >$i) 2>/dev/null && echo wrote; done; '
                         'true', stdin=f)
    good(result, 'one\ntwo\n')
    equal(open(path).read(), 'one\ntwo\n')


@test()
def file_on_standard_input_goes_on_where_it_was_read(box):
    path = box.write(box.path('input'), 'one\ntwo\n')
    with open(path) as f:
        os.lseek(f.fileno(), 4, os.SEEK_SET)
        good(sh(box, 'cat', stdin=f), 'two\n')
    with open(path) as f:  # as bash does it for a long here-document
        os.unlink(path)
        good(sh(box, 'cat', stdin=f), 'one\ntwo\n')


@test()
def file_on_standard_input_is_not_what_has_its_name_by_now(box):
    path = box.write(box.path('input'), 'mine\n')
    with open(path) as f:
        os.link(path, path + '-kept')
        os.unlink(path)  # what /proc calls it now
        box.write(path + ' (deleted)', 'not mine\n')
        refused(sh(box, 'cat', stdin=f), 'stdio', "can't find the file")


@test()
def the_terminal_keeps_its_mode_and_waits_for_what_is_typed(box):
    ours, theirs = pty.openpty()
    os.fchown(theirs, box.uid, box.gid)
    before = os.fstat(theirs).st_mode
    good(run(box, 'python3', '-c', 'import os\n'
             'try: os.fchmod(0, 0o777)\nexcept OSError: pass\n'
             'print(os.isatty(0), os.get_blocking(0))', stdin=theirs),
         'True True\n')
    equal(os.fstat(theirs).st_mode, before)
    os.close(ours)
    os.close(theirs)


MINE_TO_CHANGE = (
    'import os, sys\n'
    'places = ["/dev/" + n for n in os.listdir("/dev")]\n'
    'places += ["/proc/" + n for n in os.listdir("/proc")\n'
    '           if not n.isdigit()]\n'
    'for place in [p for p in places if not os.path.islink(p)] + [0]:\n'
    '    if place in ("/dev/pts", "/dev/shm", "/dev/mqueue"): continue\n'
    '    at = os.stat(place)\n'
    '    for change in (lambda: os.chmod(place, at.st_mode & 0o7777),\n'
    '                   lambda: os.chown(place, at.st_uid, at.st_gid),\n'
    '                   lambda: os.utime(place)):\n'
    '        try: change()\n'
    '        except OSError: continue\n'
    '        print("changed", place)\n')


@test()
def modes_and_owners_of_the_machines_devices_and_proc_stay(box):
    """What an agent changes there it would change for all of the machine."""
    good(run(box, 'python3', '-c', MINE_TO_CHANGE), '')
    good(run(box, 'sh', '-c', 'echo x >/dev/null; head -c 1 /dev/zero | wc -c;'
                              ' readlink /proc/self/fd/0; cat <&0'),
         '1\n/dev/null\n')


@test()
def an_output_file_becomes_no_program_of_the_callers_rights(box):
    path = box.write(box.path('output'), '')
    with open(path, 'w') as out:
        result = run(box, 'python3', '-c',
                     'import os\nos.write(1, b"x")\n'
                     'try: os.fchown(1, 5, 5)\nexcept OSError: pass\n'
                     'os.fchmod(1, 0o6755)', stdout=out)
    good(result)
    at = os.stat(path)
    equal((at.st_uid, at.st_gid, at.st_mode & 0o7777, at.st_size),
          (box.uid, box.gid, 0o755, 1))


@test()
def an_output_file_of_enter_does_not_become_one_later(box):
    path = box.write(box.path('output'), '')
    runner, _ = started(box, 'sleep', '1000')
    with open(path, 'w') as out:
        inside = Run(box, box.enter_spec(
            runner, 'python3', '-c', 'import os, time\n'
            'if os.fork() == 0:\n'
            '    time.sleep(0.5)\n'
            '    os.fchmod(1, 0o6755)\n'
            '    time.sleep(1000)'), verb='enter', stdout=out)
        inside.finish()
    equal(until(lambda: os.stat(path).st_mode & 0o7777 == 0o6755), True)
    runner.send(do='kill')
    runner.finish()
    equal(until(lambda: os.stat(path).st_mode & 0o7777 == 0o755), True)


@test()
def an_output_file_of_enter_can_be_run_at_once(box):
    runner, _ = started(box, 'sleep', '1000')
    for n in range(5):
        path = box.write(box.path('program%d' % n), '')
        with open(path, 'w') as out:
            inside = Run(box, box.enter_spec(runner, 'cat', '/bin/true'), verb='enter', stdout=out)
            inside.finish()
        os.chmod(path, 0o755)
        equal(subprocess.call([path]), 0)
    runner.send(do='kill')
    runner.finish()


@test('root')
def an_output_file_gains_no_capabilities(box):
    caps = '01000002' + 'ff' * 8 + '00' * 8
    path = box.write(box.path('output'), '')
    with open(path, 'w') as out:
        good(run(box, 'python3', '-c', 'import os\n'
                 'os.setxattr(1, "security.capability",'
                 f' bytes.fromhex("{caps}"))\n', stdout=out))
    equal(os.listxattr(path), [])


@test()
def driver_cannot_be_reached_through_proc_exe_KN13(box):
    box.own(box.driver, 0o755)
    before = open(box.driver, 'rb').read()
    box.write(box.host + '/evil', '#!/proc/self/exe --probe\n', 0o755)
    script = ('import os,time\n'
              'pid=os.fork()\n'
              'if not pid: os.execv("/work/evil",["x"])\n'
              'os.waitpid(pid,0)\n'
              'try: open("/proc/1/exe","r+b").write(b"x")\n'
              'except OSError: pass\n')
    run(box, 'python3', '-c', script)
    result = run(box, '/work/evil')
    run(box, 'sh', '-c', '/work/evil & exec 9</proc/$!/exe; sleep 0.3; '
                         'echo x >/proc/self/fd/9')
    equal(open(box.driver, 'rb').read() == before, True, str(result.events))


@test('user')
def nested_sandbox_works_with_allow_and_fails_with_deny(box):
    script = ('unshare -Urm sh -c "mount -t tmpfs x /tmp && echo mounted" '
              '2>&1')
    good(sh(box, script), 'mounted\n')
    result = sh(box, script, nested='deny')
    if result.status == 0 or 'mounted' in result.out:
        raise AssertionError(result.out)
    good(sh(box, 'unshare -Urmpf --mount-proc ps ax | wc -l'))


@test()
def nested_root_cannot_undo_the_view_KN07(box):
    box.mkdir('host', 'secret')
    box.write(box.host + '/secret/key', 'KEY')
    script = ('unshare -Urm sh -c "umount -l /work/secret; umount -l /work; '
              'umount -R /proc; mount -o remount,rw /usr; '
              'mount --move /work/secret /tmp; mount --rbind /work /tmp && '
              'umount -l /tmp/secret; mount --bind /work /tmp; '
              'cat /work/secret/key /tmp/secret/key /proc/1/root/etc/passwd; '
              'nsenter -t 1 -m cat /etc/passwd; touch /usr/x; '
              'ls /tmp/secret /proc/1/root" 2>/dev/null')
    result = sh(box, script, more=[('hide', '/work/secret')])
    if 'KEY' in result.out or 'root:' in result.out:
        raise AssertionError(result.out)


@test()
def kill_of_everything_spares_the_driver_KN04(box):
    result = sh(box, 'sleep 100 & kill -9 -1; kill -9 1; echo still')
    equal((result.status, result.out), (0, 'still\n'))
    ours = subprocess.Popen(['sleep', '100'])
    result = sh(box, f'trap "" TERM; kill -TERM 0; kill -9 {ours.pid}; '
                     'exit 9')
    equal((result.status, ours.poll()), (9, None))
    ours.kill()
    ours.wait()


@test()
def the_job_that_started_it_is_not_slowed_KN04(box):
    read, write = os.pipe()
    tries = 'renice -n 19 -g 0; ionice -c 3 -P 0; echo tried; read -r end'
    job = Run(box, box.spec('sh', '-c', tries), stdin=read, before=os.setpgrp)
    os.close(read)
    equal(job.process.stdout.readline(), b'tried\n')
    nice = os.getpriority(os.PRIO_PROCESS, job.pid)
    idle = subprocess.run(['ionice', '-p', str(job.pid)],
                          stdout=subprocess.PIPE, text=True).stdout
    os.close(write)
    job.finish()
    equal((nice, 'idle' in idle), (os.getpriority(os.PRIO_PROCESS, 0), False))


@test()
def double_fork_daemon_dies_with_the_agent_KN20(box):
    nap = f'sleep 1000.{os.getpid()}'
    result = good(sh(box, f'setsid sh -c "{nap} & {nap} &" '
                          '</dev/null >/dev/null 2>&1 & sleep 0.2; '
                          'grep -l "^NSpid" /proc/[0-9]*/status | wc -l'))
    equal(int(result.out) > 3, True)
    equal(runs(nap), False)


@test()
def limits_are_set(box):
    good(sh(box, 'ulimit -n; ulimit -Hn',
            extra=[('rlimit', 'nofile', 64, 128)]), '64\n128\n')


@test()
def few_descriptors_are_enough_or_told(box):
    def limit(soft, hard):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                          (soft, hard))
    good(sh(box, 'ulimit -n', before=limit(32, 4096)), '32\n')
    contains(refused(run(box, 'true', before=limit(32, 64)),
                     'rlimit')['hint'], 'ulimit')


@test()
def no_mount_is_visible_on_the_host(box):
    running = Run(box, box.spec('sleep', '1000'))
    running.wait_event('started')
    equal(mounts_of(box), [])
    equal(os.listdir(box.newroot), [])
    running.send(do='kill')
    equal(running.finish().status, 137)


@test('user')
def fork_bomb_meets_its_limit_RS01(box):
    result = Run(box, box.spec('bash', '-c', 'f(){ f|f& }; f; sleep 1000',
                               extra=[('rlimit', 'nproc', 60, 60)]))
    result.wait_event('started')
    time.sleep(0.5)
    result.send(do='kill')
    equal(result.finish().status, 137)


# --- signals and ends ---

def started(box, *argv, **options):
    runner = Run(box, box.spec(*argv, **options))
    event = runner.wait_event('started')
    if not event:
        raise AssertionError(f'not started: {runner.finish().events}')
    return runner, [event['driver'], event['init'], event['agent']]


@test()
def signals_to_the_driver_reach_the_agent(box):
    trap = ('trap "echo got; exit 5" %s; '
            'while :; do sleep 0.05; done')
    for sig in ('TERM', 'HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'WINCH'):
        number = getattr(signal, 'SIG' + sig)
        runner, pids = started(box, 'sh', '-c', trap % sig)
        equal(until(lambda: catches(pids[2], number)), True)
        os.kill(runner.pid, number)
        runner.finish()
        equal((runner.status, runner.out), (5, 'got\n'), sig)


@test()
def commands_signal_and_kill(box):
    runner, _ = started(box, 'sleep', '1000')
    runner.send(do='signal', signal=15)
    equal(runner.finish().status, 143)
    runner, pids = started(box, 'sh', '-c', 'trap "" TERM; sleep 1000')
    runner.send(do='kill')
    equal(runner.finish().status, 137)
    equal(gone(pids), True)


@test()
def bad_command_ends_the_tree(box):
    runner, pids = started(box, 'sleep', '1000')
    runner.sock.sendall(b'\xff\xff\xff\xff')
    equal(runner.finish().status, 137)
    equal(gone(pids), True)


@test()
def end_of_the_channel_ends_the_tree_RS02(box):
    runner, pids = started(box, 'sleep', '1000')
    runner.sock.shutdown(socket.SHUT_RDWR)
    runner.finish()
    equal(gone(pids), True)


@test()
def killed_driver_takes_the_tree_along(box):
    runner, pids = started(box, 'sh', '-c', 'setsid sleep 1000 & sleep 1000')
    os.kill(runner.pid, signal.SIGKILL)
    runner.finish()
    equal(gone(pids), True)


@test()
def killed_init_is_reported_as_signal_9(box):
    runner, pids = started(box, 'sleep', '1000')
    os.kill(pids[1], signal.SIGKILL)
    runner.finish()
    equal((runner.status, runner.events[-1]),
          (137, {'event': 'exit', 'signal': 9}))
    equal(gone(pids), True)


@test()
def killed_agent_is_reported(box):
    runner, pids = started(box, 'sleep', '1000')
    os.kill(pids[2], signal.SIGKILL)
    equal(runner.finish().events[-1], {'event': 'exit', 'signal': 9})


@test()
def killed_supervisor_takes_the_tree_along(box):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        runner, pids = started(box, 'sh', '-c', 'setsid sleep 1000 & sleep 1000')
        os.write(write, struct.pack('3i', *pids))
        time.sleep(1000)
        os._exit(0)
    os.close(write)
    pids = struct.unpack('3i', os.read(read, 12))
    os.close(read)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    equal(gone(pids), True)


@test()
def kill_at_a_random_moment_leaves_nothing(box):
    nap = f'sleep 61.{os.getpid()}'
    for i in range(40):
        runner = Run(box, box.spec('sh', '-c', f'setsid {nap} & {nap}'))
        time.sleep(random.uniform(0, 0.02))
        children = child_pids(runner.pid)
        victim = random.choice([runner.pid, *children])
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
        pids = [runner.pid, *children, *child_pids(runner.pid)]
        if victim != runner.pid and runner.process.poll() is None:
            runner.sock.shutdown(socket.SHUT_RDWR)
        runner.finish()
        if not gone(pids):
            raise AssertionError(f'round {i}: {pids} live on')
    equal(mounts_of(box), [])
    equal(runs(nap), False)


def child_pids(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children') as f:
            return [int(n) for n in f.read().split()]
    except OSError:
        return []


@test()
def stop_and_continue_are_reported(box):
    runner, pids = started(box, 'sh', '-c', 'kill -STOP $$; sleep 0.2; exit 4')
    equal(bool(runner.wait_event('stopped')), True)
    os.kill(pids[2], signal.SIGCONT)
    runner.finish()
    equal(runner.status, 4)
    equal([e['event'] for e in runner.events if e['event'] != 'degraded'],
          ['started', 'stopped', 'continued', 'exit'])


@test()
def detached_tree_lives_until_its_last_process(box):
    runner, pids = started(box, 'sh', '-c', 'sleep 1000 & exit 3',
                           extra=[('detach', 1)])
    equal(runner.wait_event('exit'), {'event': 'exit', 'code': 3})
    equal((runner.event('empty'), alive(pids[1])), (None, True))
    for pid in child_pids(pids[1]):
        os.kill(pid, signal.SIGKILL)
    runner.finish()
    equal((runner.status, runner.events[-1]), (3, {'event': 'empty'}))


@test()
def required_protection_is_taken_or_refused(box):
    good(run(box, 'true', extra=[('require', 'signal-scope')])
         if has_scope() else run(box, 'true'))


@test()
def kernel_without_landlock_is_reported_or_refused_KN22(box):
    options = {'before': without_landlock}
    result = good(run(box, 'true', **options))
    equal(result.events[0]['event'], 'degraded')
    equal(result.events[0]['name'], 'signal-scope')
    contains(result.events[0]['why'], 'Landlock')
    refused(run(box, 'true', extra=[('require', 'signal-scope')], **options),
            'signal-scope', 'Landlock')


@test('root')
def who_holds_the_other_end_of_an_input_is_out_of_reach_KN02(box):
    """An editor starts the agent: SO_PEERPIDFD of the input leads to it."""
    ours, theirs = socket.socketpair()
    script = ('import ctypes, errno, os, socket\n'
              's = socket.socket(fileno=os.dup(0))\n'
              'try: editor = s.getsockopt(socket.SOL_SOCKET, 77)\n'
              'except OSError: raise SystemExit(print("none"))\n'
              'c = ctypes.CDLL(None, use_errno=True)\n'
              'for call in ((438, editor, 0, 0), (424, editor, 0, 0, 0)):\n'
              '    print(c.syscall(*call),'
              ' errno.errorcode[ctypes.get_errno()])\n')
    for before in (None, without_landlock):
        result = good(run(box, 'python3', '-c', script, stdin=theirs,
                          before=before))
        equal(result.out in ('none\n', '-1 EPERM\n-1 EINVAL\n'), True,
              result.out)
    ours.close()
    theirs.close()


def without_landlock():
    """A filter that answers landlock_create_ruleset with ENOSYS."""
    code = b''.join(struct.pack('HBBI', *row) for row in (
        (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | 38),
        (0x06, 0, 0, 0x7fff0000)))
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(
        struct.pack('HxxxxxxQ', 4, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), 'seccomp')


@test()
def gate_comes_before_the_agent_and_takes_it_along(box):
    runner = Run(box, box.spec('sleep', '1000', net='gate'), gate=True)
    event = runner.wait_event('started')
    if not event:
        raise AssertionError(runner.finish().events)
    contains(runner.gate.recv(4096).decode(errors='replace'), 'ready')
    helpers = [p for p in child_pids(event['driver']) if p != event['init']]
    equal(len(helpers), 2)
    os.kill(helpers[0], signal.SIGKILL)
    refused(runner.finish(), 'net', 'gate has ended')
    equal(gone([*helpers, event['init'], event['agent']]), True)
    runner.gate.close()


def has_scope():
    out = subprocess.run([os.path.join(harness.BUILD, 'agentfw-driver'),
                          '--probe'], capture_output=True, text=True).stdout
    return '"name":"signal-scope","ok":true' in out


# --- enter ---

@test()
def enter_joins_with_the_same_walls(box):
    runner, pids = started(box, 'sh', '-c', 'echo mine >f; sleep 1000')
    inside = Run(box, box.enter_spec(
        runner, 'sh', '-c', 'until test -s f; do sleep 0.05; done; cat f; echo "$PPID"; exit 6'),
        verb='enter').finish()
    equal((inside.status, inside.out), (6, 'mine\n0\n'))
    tried = Run(box, box.enter_spec(runner, '/t/try'), verb='enter').finish()
    judge(tried, REFUSED)
    inside = Run(box, box.enter_spec(runner, 'sleep', '1000'), verb='enter')
    other = inside.wait_event('started')['agent']
    for name in os.listdir('/proc/self/ns'):
        equal(os.readlink(f'/proc/{other}/ns/{name}'),
              os.readlink(f'/proc/{pids[2]}/ns/{name}'), name)
    runner.send(do='kill')
    runner.finish()


@test()
def enter_reports_as_run_does(box):
    runner, _ = started(box, 'sleep', '1000')
    refused(Run(box, box.enter_spec(runner, 'none'), verb='enter').finish(),
            'exec', 'none', 127)
    inside = Run(box, box.enter_spec(runner, 'sleep', '1000'), verb='enter')
    agent = inside.wait_event('started')['agent']
    inside.send(do='signal', signal=15)
    equal(inside.finish().status, 143)
    inside = Run(box, box.enter_spec(runner, 'sleep', '1000'), verb='enter')
    agent = inside.wait_event('started')['agent']
    inside.sock.shutdown(socket.SHUT_RDWR)
    inside.finish()
    equal(gone([agent]), True)
    inside = Run(box, box.enter_spec(runner, 'sleep', '1000'), verb='enter')
    agent = inside.wait_event('started')['agent']
    os.kill(inside.pid, signal.SIGKILL)
    inside.finish()
    equal(gone([agent]), True)
    inside = Run(box, box.enter_spec(runner, 'sleep', '1000'), verb='enter')
    inside.wait_event('started')
    runner.send(do='kill')
    runner.finish()
    equal(inside.finish().status, 137)


@test()
def enter_refuses_another_start_time(box):
    runner, _ = started(box, 'sleep', '1000')
    parts = box.enter_spec(runner, 'true').split(b'\0')
    at = parts.index(b'target') + 2
    parts[at] = str(int(parts[at]) + 1).encode()
    refused(Run(box, b'\0'.join(parts), verb='enter').finish(), 'enter',
            "isn't running")
    runner.send(do='kill')
    runner.finish()


@test()
def enter_input_is_read_only_too_and_the_umask_is_kept(box):
    path = box.write(box.path('input'), 'one\n')
    runner, _ = started(box, 'sleep', '1000')
    with open(path) as f:
        inside = Run(box, box.enter_spec(
            runner, 'sh', '-c', 'cat; (echo evil >/proc/self/fd/0) '
            '2>/dev/null && echo wrote; umask'), verb='enter',
            stdin=f, before=lambda: os.umask(0o027)).finish()
    good(inside, 'one\n0027\n')
    equal(open(path).read(), 'one\n')
    runner.send(do='kill')
    runner.finish()


# --- root mode ---

@test('root')
def whole_root_as_one_layer(box):
    ops = [box.overlay('/', '/', 'trusted,volatile'),
           ('proc', '/proc'), ('dev', '/dev'), ('tmpfs', '/tmp', '1777', 0,
                                                '')]
    result = good(sh(box, 'mkdir /etc/agentfw-x && mv /etc/agentfw-x '
                          '/etc/agentfw-y && touch /usr/bin/agentfw-z && '
                          'chown 5:6 /usr/bin/agentfw-z && '
                          'su -s /bin/sh nobody -c "id -u" && '
                          'ls /proc/self/fd | wc -l', ops=ops, cwd='/',
                     env=['PATH=/usr/sbin:/usr/bin:/sbin:/bin']))
    contains(result.out, '65534')
    upper = box.path('layers', '1', 'upper')
    equal(os.path.exists(upper + '/etc/agentfw-y'), True)
    equal(os.path.exists('/etc/agentfw-y'), False)
    equal(os.stat(upper + '/usr/bin/agentfw-z').st_uid, 5)


@test('root')
def proc_is_not_writable_by_its_owner_KN08(box):
    result = sh(box, 'for f in /proc/sys/kernel/core_pattern '
                     '/proc/sys/vm/drop_caches /proc/sysrq-trigger; do '
                     '(echo 1 >$f) 2>/dev/null && echo wrote $f; done; '
                     'ls /proc/acpi /proc/timer_list 2>/dev/null; '
                     'cat /proc/kcore | head -c 1; true')
    if 'wrote' in result.out:
        raise AssertionError(result.out)


# --- the rest ---

@test('user')
def probe_prints_json_and_leaves_nothing(box):
    import json
    out = subprocess.run([box.driver, '--probe', '--dir', box.mkdir('p')],
                         capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    equal(len(rows) > 20 and all({'name', 'ok', 'detail', 'errno'} == set(r)
                                 for r in rows), True)
    equal(os.listdir(box.path('p')), [])


@test('user')
def usage_and_version(box):
    version = subprocess.run([box.driver, '--version'], capture_output=True,
                             text=True)
    equal((version.returncode, version.stdout), (0, 'agentfw-spec 1\n'))
    usage = subprocess.run([box.driver, 'run'], capture_output=True,
                           text=True)
    equal(usage.returncode, 125)
    contains(usage.stderr, 'Usage')


@test()
def launches_are_quick(box):
    """Not a bound, a figure: the driver alone, ten overlays."""
    lowers = [box.mkdir('low', str(i)) for i in range(9)]
    more = []
    for i, lower in enumerate(lowers):
        more += [('dir', f'/m{i}', '755'), box.overlay(f'/m{i}', lower)]
    spec = box.spec('true', more=more)
    times = []
    for _ in range(15):
        at = time.perf_counter()
        result = Run(box, spec)
        result.process.wait()
        times.append(time.perf_counter() - at)
        good(result.finish())
    times.sort()
    print(f'# {box.mode} mode, 10 overlays, run to end: '
          f'{times[7] * 1e3:.1f} ms median, {times[0] * 1e3:.1f} ms best')


def main():
    words = sys.argv[1:]
    passed = failed = 0
    for function, modes in TESTS:
        for mode in modes:
            name = f'{function.__name__.replace("_", " ")} ({mode} mode)'
            if words and not any(w in name for w in words):
                continue
            if mode == 'root' and os.getuid() != 0:
                print(f'skip - {name}: not root')
                continue
            ids = (0, 0) if mode == 'root' else \
                (harness.PLAIN_ID,) * 2 if os.getuid() == 0 else \
                (os.getuid(), os.getgid())
            box = Box(ids)
            box.mode = mode
            try:
                function(box)
                print(f'ok - {name}')
                passed += 1
            except Exception as error:  # a failed test is a line, not an end
                print(f'not ok - {name}: {type(error).__name__} {error}')
                failed += 1
            finally:
                box.remove()
            sys.stdout.flush()
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
