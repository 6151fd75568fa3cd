import { describe, expect, test } from 'vitest';
import { documentOf, problemsOf } from './make.js';

describe('what YAML allows and a policy does not', () => {
  test.each([
    ['an unknown key, with the nearest', 'version: 1\nfiels: {hide: [~/x]}\n', 'p.yaml:2:1: unknown key `fiels`', 'Did you mean `files`?'],
    ['an unknown key further in', 'version: 1\nfiles:\n  hidden: ["~/x"]\n', 'p.yaml:3:3: unknown key `hidden` in `files`', 'Did you mean `hide`?'],
    ['an unknown key in a rule', 'version: 1\nfiles:\n  hide:\n    - {path: "~/x", excpt: ["~/x/y"]}\n', 'p.yaml:4:21: unknown key `excpt`', 'Did you mean `except`?'],
    ['a key given twice', 'version: 1\nfiles: {}\nfiles: {}\n', 'p.yaml:3:1: the key is given twice', 'Put both under one key.'],
    ['a merge key', 'version: 1\nfiles:\n  <<: {hide: ["~/x"]}\n', 'p.yaml:3:3: merge keys are not supported', 'extends'],
    ['an anchor', 'version: 1\nfiles: &a {hide: ["~/x"]}\n', 'p.yaml:2:11: anchors are not supported', ''],
    ['a key that readers of the shape pass over', 'version: 1\nexcept: {__proto__: [./x]}\n', 'p.yaml:2:10: `__proto__` names nothing', 'Remove it.'],
    ['an alias that should be quoted', 'version: 1\nnetwork: {deny: [*.evil.example]}\n', 'is an alias in YAML', 'Quote it: "*.evil.example"'],
    ['a tag', 'version: 1\nfiles: {hide: [!x y]}\n', 'is not supported', 'quoted'],
    ['`no` as a word', 'version: 1\nnested: no\n', 'p.yaml:2:9: `no` means different things', ''],
    ['`off` in a list', 'version: 1\nenvironment: {keep: [off]}\n', '`off` means different things', 'quote it'],
    ['`false` where a word belongs', 'version: 1\nnested: false\n', 'must be one of `allow`, `deny`', 'Did you mean `deny`?'],
    ['nothing after a key', 'version: 1\nfiles:\n', 'there is no value', '[]'],
    ['a bare tilde', 'version: 1\nfiles: {hide: [~]}\n', '`~` alone is nothing', 'Quote it'],
    ['no version', 'files: {}\n', 'there is no `version`', 'version: 1'],
    ['a later version', 'version: 2\n', 'version 2 is not supported', 'version: 1'],
    ['a version as text', 'version: "1"\n', 'the version is text', 'without quotes'],
    ['two documents', 'version: 1\n---\nversion: 1\n', 'more than one document', '`---`'],
    ['a number for a name', 'version: 1\nenvironment: {keep: [1]}\n', 'must be text', 'Quote it: "1"'],
    ['one word for a list', 'version: 1\nfiles: {hide: "~/x"}\n', 'must be a list', 'Write a list: ["~/x"]'],
    ['brackets without end', `version: 1\nfiles: {hide: ${'['.repeat(5000)}${']'.repeat(5000)}}\n`, 'nested more than 200 deep', ''],
    ['lists in lists without end', `version: 1\nfiles: \n  ${'- '.repeat(20000)}x\n`, 'nested too deeply', ''],
    ['a reserved word', 'version: 1\ntools: {}\n', 'reserved for rules on tool calls', ''],
    ['a list as the file', '- a\n', 'must be a block of keys', ''],
    ['a size without unit', 'version: 1\nlimits: {memory: "8"}\n', '`8` has no unit', '8GB'],
    ['a size that is a bare number', 'version: 1\nlimits: {memory: 8}\n', 'p.yaml:2:18: `8` has no unit', 'Write a size such as 500MB'],
    ['a duration that is a bare number', 'version: 1\nask: {timeout: 60}\n', '`60` has no unit', 'Write a duration such as 90s'],
    ['memory in which nothing can begin', 'version: 1\nlimits: {memory: 1KB}\n', 'p.yaml:2:18: `1KB` is less than any program needs', '1MB or more'],
    ['no time at all', 'version: 1\nlimits: {time: 0s}\n', 'p.yaml:2:16: `0s` is less than 1s', '90s, 30m'],
    ['no layer at all', 'version: 1\nlimits: {layer: 0GB}\n', '`0GB` is less than 1B', ''],
    ['no process for the agent', 'version: 1\nlimits: {pids: 1}\n', 'limits.pids', ''],
    ['a size in a wrong unit', 'version: 1\nlimits: {memory: 8h}\n', '`h` is not a unit of size', ''],
    ['a duration in a wrong unit', 'version: 1\nlimits: {time: 2GB}\n', 'is not a unit of duration', '2h'],
    ['a budget without unit', 'version: 1\nchanges: {capture: {total: 5}}\n', '`5` has no unit', '500MB'],
    ['a negative count', 'version: 1\nchanges: {thresholds: {files: -1}}\n', 'changes.thresholds.files', ''],
    ['a pattern above the project', 'version: 1\nfiles: {hide: [../x]}\n', 'neither absolute nor anchored', 'Write the path it leads to'],
    ['the home of somebody else', 'version: 1\nfiles: {hide: [~root/x]}\n', 'neither absolute nor anchored', 'Write the path it leads to'],
    ['an unanchored pattern', 'version: 1\nfiles: {hide: [secrets]}\n', 'p.yaml:2:16: `secrets` is neither absolute nor anchored', '`./secrets`'],
    ['a pattern with `..`', 'version: 1\nfiles: {hide: ["~/../x"]}\n', 'has a `..`', ''],
    ['a negated pattern', 'version: 1\nfiles: {hide: ["!~/x"]}\n', 'not negated', 'except'],
    ['`**` within a name', 'version: 1\nfiles: {hide: ["~/a**b"]}\n', 'must stand alone', ''],
    ['unbalanced braces', 'version: 1\nfiles: {hide: ["~/{a,b"]}\n', 'unbalanced', ''],
    ['braces that double without end', `version: 1\nfiles: {hide: ["~/${'{a,b}'.repeat(40)}"]}\n`, 'too many braces', ''],
    ['a passthrough with wildcards', 'version: 1\nfiles: {passthrough: ["~/x/*"]}\n', 'directories by name', ''],
    ['a wildcard on a public suffix', 'version: 1\nnetwork: {allow: ["*.github.io"]}\n', 'public suffix', ''],
    ['a wildcard on a top level', 'version: 1\nnetwork: {allow: ["*.com"]}\n', 'public suffix', ''],
    ['a wildcard in the middle', 'version: 1\nnetwork: {allow: ["api.*.com"]}\n', 'all subdomains', ''],
    ['a URL', 'version: 1\nnetwork: {allow: ["https://x.org/"]}\n', 'is a URL', ''],
    ['a host with a path (NT31)', 'version: 1\nnetwork: {allow: ["x.org/y"]}\n', 'has a path', ''],
    ['a network with host bits', 'version: 1\nnetwork: {allow: ["10.0.0.1/8"]}\n', 'bits set', '10.0.0.0/8'],
    ['a bad port', 'version: 1\nnetwork: {allow: ["x.org:99999"]}\n', 'bad port', ''],
    ['`private` on a deny', 'version: 1\nnetwork: {deny: [{host: x.org, private: true}]}\n', 'belongs to `allow`', ''],
    ['a rule that fails its `match` example', 'version: 1\nfiles: {hide: [{path: "~/a/*.key", match: ["~/b/x.key"]}]}\n', 'does not match its example', ''],
    ['a rule that hits its `not` example', 'version: 1\nnetwork: {deny: [{host: "*.x.org", not: [a.x.org]}]}\n', 'matches its example', ''],
    ['a wildcard hole on a public suffix', 'version: 1\nexcept: {net.exfil: ["*.workers.dev"]}\n', 'public suffix', ''],
  ])('%s is refused with its place', async (_, text, message, hint) => {
    const problems = await problemsOf(text);

    expect(problems).toContain(message);
    expect(problems).toContain(hint);
    expect(problems).toMatch(/^p\.yaml:\d+:\d+: /);
  });

  test.each([['nothing', ''], ['comments', '# x\n'], ['null', 'null\n'], ['a document marker', '---\n']])('%s is an empty policy, which is not a policy', async (_, text) => {
    expect(await problemsOf(text)).toBe('empty');
  });

  test('several problems are all told', async () => {
    expect((await problemsOf('version: 1\nfiels: {}\nnetwork: {alow: []}\n')).match(/unknown key/g)).toHaveLength(2);
  });
});

describe('what a document keeps', () => {
  test('rules know their line, their id and their list', async () => {
    const document = await documentOf('version: 1\nfiles:\n  hide:\n    - "~/x"\n    - {path: ["~/y", "~/z"], id: my.rule}\n');

    expect(document.rules).toMatchObject([
      { list: 'files.hide', id: 'files.hide:~/x', subjects: ['~/x'], at: { line: 4, col: 7 } },
      { list: 'files.hide', id: 'my.rule', subjects: ['~/y', '~/z'], at: { line: 5, col: 7 } },
    ]);
  });

  test('the example of the design is valid', async () => {
    const document = await documentOf(`version: 1
extends: claude-code
files:
  hide: ["~/.ssh/**", {path: "**/.env", except: ["**/.env.example"]}]
  passthrough: ["~/.claude/projects/**"]
  readonly: ["~/.config/**"]
changes:
  commit:   ["./src/**", "./test/**"]
  discard:  ["**/node_modules/.cache/**"]
  escalate: ["./package.json"]
  default:  escalate
  thresholds: {deletions: 50, files: 2000, bytes: 500MB}
network:
  allow: [api.anthropic.com, registries]
  default: ask
  deny:  [{host: "*.ngrok.io"}]
sockets: {allow: []}
environment: {keep: [MY_VAR], secrets: drop}
limits: {memory: 8GB, pids: 4096, layer: 20GB, time: 2h}
nested: allow
`);

    expect(document.settings).toContainEqual(expect.objectContaining({ key: 'limits.time', value: 7200 }));
    expect(document.settings).toContainEqual(expect.objectContaining({ key: 'changes.thresholds.bytes', value: 500e6 }));
  });
});
