import { describe, expect, test } from 'vitest';
import { canRun, diagnose, type Finding, type Probe, type Surroundings } from '../../src/sandbox/doctor.js';

const DEBIAN: Surroundings = { distribution: 'debian', container: null, wsl: false, mode: 'user', driver: '/opt/agentfw/driver' };
const probe = (name: string, ok = false): Probe => ({ name, ok, detail: '' });

function mendOf(where: Partial<Surroundings>, name: string, ...others: Probe[]): string {
  const [found] = diagnose([probe(name), ...others], { ...DEBIAN, ...where });
  return (found as Finding).mend ?? '';
}

describe('the mend fits the place', () => {
  test.each<[string, Partial<Surroundings>, string]>([
    ['Debian', {}, 'kernel.unprivileged_userns_clone=1'],
    ['Fedora', { distribution: 'fedora' }, 'user.max_user_namespaces=15000'],
    ['a Fedora by likeness', { distribution: 'rocky rhel centos fedora' }, 'user.max_user_namespaces=15000'],
    ['a distribution without words of its own', { distribution: 'void' }, 'CONFIG_USER_NS'],
    ['Docker', { container: 'docker' }, '--security-opt seccomp=unconfined'],
    ['Podman', { container: 'podman' }, 'label=disable'],
    ['Kubernetes', { container: 'kubernetes' }, 'hostUsers: false'],
    ['WSL', { wsl: true, distribution: 'ubuntu debian' }, 'wsl --update'],
  ])('%s', (_place, where, words) => {
    expect(mendOf(where, 'userns')).toContain(words);
  });

  test('E6 Ubuntu’s AppArmor restriction is mended by a profile for this driver', () => {
    const mend = mendOf({ distribution: 'ubuntu debian' }, 'inner-userns', probe('kernel/apparmor_restrict_unprivileged_userns'));
    expect(mend).toContain('profile agentfw "/opt/agentfw/driver"');
    expect(mend).toContain('userns,');
  });

  test('a limit of user namespaces is raised, also in a container', () => {
    expect(mendOf({ container: 'docker' }, 'userns', probe('user/max_user_namespaces'))).toContain('sysctl -w user.max_user_namespaces=15000');
  });

  test('root of whom CAP_SETFCAP was taken gets it back, or is nobody special', () => {
    const [found] = diagnose([{ name: 'userns', ok: false, detail: "can't write uid_map (root lacks CAP_SETFCAP)" }], { ...DEBIAN, container: 'docker' });

    expect(found?.mend).toMatch(/--cap-add SETFCAP.*, or start as a plain user$/);
  });

  test('what fails for want of a user namespace is mended with it', () => {
    const failed = (name: string, detail: string): Probe => ({ name, ok: false, detail });
    const found = diagnose([failed('userns', 'No space left on device'), failed('mountns', 'No space left on device'), failed('landlock', 'no')], DEBIAN);
    expect(found.map(({ mend }) => mend === 'Fix userns first')).toEqual([false, true, false]);
  });

  test('a store that can hold no layers is moved, not the kernel', () => {
    expect(mendOf({ container: 'docker' }, 'overlay-userxattr')).toContain('AGENTFW_STATE_DIR');
  });
});

describe('what the other mode needs', () => {
  test.each([['user', 'root-mode', 'root'], ['root', 'overlay-userxattr', 'a plain user']] as const)('in %s mode %s is no failure', (mode, name, whose) => {
    const findings = diagnose([probe(name)], { ...DEBIAN, mode, container: 'docker' });
    expect(findings[0]).toMatchObject({ level: 'information', mend: `Nothing to fix: only ${whose} needs it` });
    expect(canRun(findings)).toBe(true);
  });

  test.each([['user', 'overlay-userxattr'], ['root', 'root-mode']] as const)('in %s mode %s is needed', (mode, name) => {
    expect(canRun(diagnose([probe(name)], { ...DEBIAN, mode }))).toBe(false);
  });
});

test('a wall less is weaker, and not a refusal', () => {
  expect(canRun(diagnose([probe('landlock')], DEBIAN))).toBe(true);
  expect(canRun(diagnose([probe('seccomp')], DEBIAN))).toBe(false);
});

test('a probe that this version does not know is shown, never needed', () => {
  const [found] = diagnose([probe('from-the-future')], DEBIAN);
  expect(found).toMatchObject({ level: 'information', name: 'from-the-future' });
});
