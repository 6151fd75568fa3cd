import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redactArgv, redactEvent, redactText } from '../../src/audit/redact.js';
import { secondsOf } from '../helpers/effort.js';

describe('redaction (CR11)', () => {
  // Spelt in two parts: no scanner should find a secret in this file.
  const fake = (prefix: string): string => `${prefix}${'A1b2C3d4'.repeat(5)}`;
  test.each([
    [`clone https://user:${'pa'}ss@h.test/x`, 'clone https://[redacted:userinfo]@h.test/x'],
    [`Authorization: Bearer ${fake('')}`, 'Authorization: Bearer [redacted:authorization]'],
    [`x ${fake('gh' + 'p_')} y`, 'x [redacted:token] y'],
    [`NPM_TOKEN=${fake('')}`, 'NPM_TOKEN=[redacted:value]'],
    ['https://h.test/?a=1&access_token=abc&b=2', 'https://h.test/?a=1&access_token=[redacted:value]&b=2'],
    [`{"password": "x y"}`, '{"password": "[redacted:value]"}'],
    [`{"pass": 'x y'} {\\"token\\": \\"${'s3'}cret\\"}`, `{"pass": '[redacted:value]'} {\\"token\\": \\"[redacted:value]"}`],
    [`MYSQL_PWD=${'s3'}cret DB_PASS='${'s3'} cret' OPENAI_KEY=${'s3'}cret AccountKey=${'s3'}cret;x make`, `MYSQL_PWD=[redacted:value] DB_PASS='[redacted:value]' OPENAI_KEY=[redacted:value] AccountKey=[redacted:value];x make`],
    [`https://h.test/?key=${'s3'}cret&code=${'s3'}cret&q=1`, 'https://h.test/?key=[redacted:value]&code=[redacted:value]&q=1'],
    [`curl -b "sid=${'s3'}cret" --cookie a=${'s3'}cret -b jar.txt h.test`, 'curl -b "sid=[redacted:value]" --cookie a=[redacted:value] -b jar.txt h.test'],
    [`curl -H "Authorization: ${'Api'}Key ${'s3'}cret" h.test`, 'curl -H "Authorization: ApiKey [redacted:authorization]" h.test'],
    [`x ${fake('gl' + 'rt-')} ${fake('hv' + 's.')} ${fake('sk_' + 'test_')} ${fake('xa' + 'pp-')} y`, 'x [redacted:token] [redacted:token] [redacted:token] [redacted:token] y'],
    [`https://hooks.slack.com/services/${fake('T0/')}`, 'https://hooks.slack.com/services/[redacted:webhook]'],
    [`-----BEGIN PGP ${'PRI'}VATE KEY BLOCK-----\nabc`, '[redacted:private-key]'],
    ['sort --reverse keys.txt; passage monkey: x', 'sort --reverse keys.txt; passage monkey: x'],
    [`-----BEGIN RSA ${'PRI'}VATE KEY-----\nabc`, '[redacted:private-key]'],
    [`curl -u "me:${'s3'}cret" h.test; curl --user=me:${'s3'}cret h.test`, 'curl -u "[redacted:argument]" h.test; curl --user=[redacted:argument] h.test'],
    [`curl -ume:${'s3'}cret h.test`, 'curl -u[redacted:argument] h.test'],
    [`https://u:p@${'s3'}cret@h.test/a@b`, 'https://[redacted:userinfo]@h.test/a@b'],
    ['https://h.test/?mail=a@b', 'https://h.test/?mail=a@b'],
    [`curl --pass ${'s3'}cret; openssl rsa -passin pass:${'s3'}cret`, 'curl --pass [redacted:argument] openssl rsa -passin pass:[redacted:value]'],
    [`mysql -uroot -p${'s3'}cret db; sshpass -p '${'s3'}cret' ssh -p 22 h`, "mysql -uroot -p[redacted:argument] db; sshpass -p '[redacted:argument]' ssh -p 22 h"],
    ['mkdir -p a; ssh -p22 h; mysql -p db; tool --bypass x', 'mkdir -p a; ssh -p22 h; mysql -p db; tool --bypass x'],
    [`tool --api-key ${fake('')} --token -v`, 'tool --api-key [redacted:argument] --token -v'],
    ['cat src/tokenizer.ts', 'cat src/tokenizer.ts'],
    ['id -u me; sudo -u me ls a:b', 'id -u me; sudo -u me ls a:b'],
  ])('%s', (text, expected) => {
    expect(redactText(text).value).toBe(expected);
  });

  test('what is passed unread is what no pattern would cut', () => {
    const piece = fc.constantFrom('--token ', '-u ', 'secret ', 'BEARER ', 'bearer\t', 'eyJabcdefghi.', 'eyjabcdefgh.', 'A1b2C3d4E5f6.', 'AKIA', 'asia', '0123456789ABCDEF', 'AIza', 'sk-', 'hf_', 'ya29.', 'SG.', 'xoxb-', 'npm_', 'rk_live_', 'sk_test_', 'glrt-', 'hvs.', 'tskey-', 'xapp-', 'AGE-SECRET-KEY-1', 'ATATT3', '-b a=', 'x_pwd=', '?key=', 'ghs_', '-----BEGIN RSA PRIVATE KEY-----', 'a://u@', 'h.test', ' ', '/', '"');
    fc.assert(fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('');

      // A sign in front that no pattern cuts makes it look.
      expect(`= ${redactText(text).value}`).toBe(redactText(`= ${text}`).value);
    }), { numRuns: 2000 });
  });

  test('arguments after an option that names a secret are cut', () => {
    expect(redactArgv(['curl', '-u', 'me:pw', '--token', 'abc', '-u', 'me', '-x', 'y']).value).toEqual(['curl', '-u', '[redacted:argument]', '--token', '[redacted:argument]', '-u', 'me', '-x', 'y']);
    expect(redactArgv(['curl', '-ume:pw', '--pass', 'abc']).value).toEqual(['curl', '-u[redacted:argument]', '--pass', '[redacted:argument]']);
  });

  test.each([
    [['/usr/bin/mysql', '-uroot', '-ppw', 'db'], ['/usr/bin/mysql', '-uroot', '-p[redacted:argument]', 'db']],
    [['mysqldump', '-p', 'db'], ['mysqldump', '-p', 'db']],
    [['sshpass', '-p', 'pw', 'ssh', 'h'], ['sshpass', '-p', '[redacted:argument]', 'ssh', 'h']],
    [['redis-cli', '-a', 'pw', 'PING'], ['redis-cli', '-a', '[redacted:argument]', 'PING']],
    [['ssh', '-p22', 'h'], ['ssh', '-p22', 'h']],
    [['zip', '-P', 'pw', 'a.zip', 'f'], ['zip', '-P', '[redacted:argument]', 'a.zip', 'f']],
    [['7z', 'a', '-ppw', 'a.7z'], ['7z', 'a', '-p[redacted:argument]', 'a.7z']],
    [['ssh-keygen', '-N', 'pw'], ['ssh-keygen', '-N', '[redacted:argument]']],
    [['ldapsearch', '-w', 'pw'], ['ldapsearch', '-w', '[redacted:argument]']],
    [['curl', '-b', 'sid=pw', 'h'], ['curl', '-b', '[redacted:argument]', 'h']],
  ])('a short option for a password is that of its program: %j', (argv, expected) => {
    expect(redactEvent({ kind: 'exec', object: { argv } }).value.object).toEqual({ argv: expected });
  });

  test('an event is cut as its texts are, and is itself where nothing is cut', () => {
    const arg = fc.constantFrom('make', '-j2', '-u', 'me', 'me:pw', '--token', 'a=b', 'TOKEN=x', 'sk-A1b2C3d4E5f6', 'x'.repeat(3000), 'y'.repeat(400));
    fc.assert(fc.property(fc.array(arg, { maxLength: 70 }), arg, (argv, path) => {
      const { value, count } = redactEvent({ kind: 'exec', subject: { pid: 1, exe: path, argv, cwd: null }, object: { path, argv }, detail: { advisory: true, path } });
      const text = redactText(path);
      const list = redactArgv(argv);

      expect(value.object).toEqual({ path: text.value, argv: list.value });
      expect([value.subject?.exe, value.subject?.argv, value.detail?.['path']]).toEqual([text.value, list.value, text.value]);
      expect(count).toBe(3 * text.count + 2 * list.count);
    }));
    const calm = { kind: 'exec', object: { path: '/bin/true', argv: ['true', '-x'] } } as const;
    expect(redactEvent(calm).value).toBe(calm);
  });

  test.each(['f(token=abc123)', '/x/token=abc123', 'x=token=abc123', 'a.b-token-c=abc123', '"api_key": "abc123"', '--my.secret-name: abc123'])('a value is cut wherever its name begins: %s', (text) => {
    expect(redactText(text).value).not.toContain('abc123');
  });

  test('text is cut in linear time', () => {
    const units = ['token', 'eyJ', '-----BEGIN ', 'a://', '"', 'Bearer ', '--token', 'token-', '-secret', 'a-', 'a.', '--pass', 'key ', '--key\t', '_key', '-b ', '-b a=', 'pwd="', '?key='];
    const texts = units.flatMap((unit) => ['', '-', ' '].map((first) => first + unit.repeat(20_000)));
    expect(secondsOf(() => texts.map((text) => redactArgv([text, text, text, text, text])))).toBeLessThan(5);
  });
});
