import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeWord, encodeWord, exactWords, routeOf } from '../src/argv.js';
import { fromText, type Bytes } from '../src/bytes.js';

const anyBytes = fc
  .uint8Array({ maxLength: 12 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 ? 1 : byte))).toString('latin1') as Bytes);
/** Words that tempt a parser: flags of ours, repeated words, dashes, nothing at all. */
const agentWord = fc.oneof(
  anyBytes,
  fc.constantFrom(...(['--help', '-h', '--json', '--', '-', '', '--tag', '--tag=x', 'run', '--version', 'a', 'a'] as Bytes[])),
);
const program = anyBytes.filter((word) => word !== '' && !word.startsWith('-'));

function words(...list: string[]): Bytes[] {
  return list.map(fromText);
}

describe('routeOf', () => {
  test('gives the agent every word after its name, byte for byte', () => {
    fc.assert(
      fc.property(program, fc.array(agentWord), (agent, rest) => {
        const route = routeOf([...words('run', '--tag', 't', '--rm'), agent, ...rest]);

        expect(route).toEqual({ kind: 'command', id: 'run', argv: ['--tag', 't', '--rm'], after: [agent, ...rest] });
      }),
    );
  });

  test('gives the agent every word after `--`, whatever its name looks like', () => {
    fc.assert(
      fc.property(fc.array(agentWord), (rest) => {
        const route = routeOf([...words('run', '--net=off', '--'), ...rest]);

        expect(route).toEqual({ kind: 'command', id: 'run', argv: ['--net=off'], after: rest });
      }),
    );
  });

  test('gives `exec TAG` every word after the tag', () => {
    fc.assert(
      fc.property(fc.array(agentWord), (rest) => {
        const dashed = routeOf([...words('exec', 'fix-login', '--'), ...rest]);

        expect(dashed).toEqual({ kind: 'command', id: 'exec', argv: ['fix-login'], after: rest });
      }),
    );
    expect(routeOf(words('exec', 'fix-login', 'ls', '--', '--help'))).toEqual({
      kind: 'command',
      id: 'exec',
      argv: ['fix-login'],
      after: words('ls', '--', '--help'),
    });
  });

  test('gives `diff` every word after `--` as a path', () => {
    fc.assert(
      fc.property(fc.array(agentWord), (rest) => {
        const route = routeOf([...words('diff', 'fix-login', '--stat', '--'), ...rest]);

        expect(route).toEqual({ kind: 'command', id: 'diff', argv: ['fix-login', '--stat'], after: rest });
      }),
    );
  });

  test.each([
    [['policy', 'check', 'f.yaml'], { kind: 'command', id: 'policy check', argv: ['f.yaml'], after: [] }],
    [['policy', 'explain', 'path', '--', '--help'], { kind: 'command', id: 'policy explain', argv: ['path'], after: words('--help') }],
    [['policy'], { kind: 'oclif', argv: ['policy', '--help'] }],
    [['policy', '--json'], { kind: 'command', id: 'policy', argv: ['--json'], after: [] }],
    [['policy', '--json', '-h'], { kind: 'oclif', argv: ['policy', '--help'] }],
    [['policy', '--help'], { kind: 'oclif', argv: ['policy', '--help'] }],
    [['policy', 'check', '-h'], { kind: 'oclif', argv: ['policy', 'check', '--help'] }],
    [['help', 'policy', 'check'], { kind: 'oclif', argv: ['policy', 'check', '--help'] }],
  ])('knows the commands of a topic: %j', (line, expected) => {
    expect(routeOf(words(...line))).toEqual(expected);
  });

  test.each([
    ['a flag value that looks like an agent', ['--tag', 'claude', 'sh'], ['--tag', 'claude'], ['sh']],
    ['a flag value that looks like a flag', ['--tag', '--rm', 'sh'], ['--tag', '--rm'], ['sh']],
    ['an empty flag value', ['--tag', '', 'sh'], ['--tag', ''], ['sh']],
    ['a value flag before `--`', ['--tag', '--', 'sh'], ['--tag'], ['sh']],
    ['a flag that does not exist', ['--nope', 'sh', '-c'], ['--nope'], ['sh', '-c']],
    ['an empty name of an agent', ['', 'x'], [], ['', 'x']],
    ['an agent called `-`', ['-', 'x'], [], ['-', 'x']],
    ['a second `--`', ['--', '--', 'x'], [], ['--', 'x']],
    ['no agent', ['--rm'], ['--rm'], []],
  ])('splits `run` with %s', (_, line, argv, after) => {
    expect(routeOf(words('run', ...line))).toEqual({ kind: 'command', id: 'run', argv, after: words(...after) });
  });

  test.each([
    [[], ['--help']],
    [['--help'], ['--help']],
    [['-h'], ['--help']],
    [['help'], ['--help']],
    [['help', 'diff'], ['diff', '--help']],
    [['diff', '--help'], ['diff', '--help']],
    [['run', '--tag', 'x', '--help', 'sh'], ['run', '--help']],
    [['--version'], ['--version']],
    [['--nope'], ['--nope']],
  ])('lets oclif answer %j', (line, argv) => {
    expect(routeOf(words(...line))).toEqual({ kind: 'oclif', argv });
  });

  test.each([
    [['--take', 'host', 'a b'], ['--take=host:a b']],
    [['--take', 'sandbox', '--', 'x'], ['--take', 'sandbox']],
    [['--take', 'host', '--json'], ['--take', 'host', '--json']],
    [['--take', 'host', './-x'], ['--take=host:./-x']],
    [['--merge', 'src'], ['--merge=clean', 'src']],
    [['--merge=markers'], ['--merge=markers']],
  ])('joins what belongs together in `commit` %j', (line, argv) => {
    const route = routeOf(words('commit', ...line));

    expect(route.argv).toEqual(argv);
  });
});

describe('exactWords', () => {
  test('takes Node’s words when they are whole', () => {
    const never = (): Buffer => {
      throw new Error('read for nothing');
    };

    expect(exactWords(['run', 'ä'], never)).toEqual(words('run', 'ä'));
  });

  test('reads the kernel’s copy when a word is not UTF-8', () => {
    fc.assert(
      fc.property(fc.array(anyBytes), (list) => {
        const cmdline = Buffer.from(['node', '--flag', 'run.js', ...list, '\xff'].join('\0') + '\0', 'latin1');
        const lossy = [...list, '\xff'].map((word) => Buffer.from(word, 'latin1').toString('utf8'));

        expect(exactWords(lossy, () => cmdline)).toEqual([...list, '\xff']);
      }),
    );
  });
});

describe('encodeWord', () => {
  test('comes back byte for byte', () => {
    fc.assert(fc.property(anyBytes, (word) => decodeWord(encodeWord(word)) === word));
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => decodeWord(encodeWord(fromText(text))) === fromText(text)));
  });

  test('leaves text as it is', () => {
    expect(encodeWord(fromText('größe 😀'))).toBe('größe 😀');
  });
});
