import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from './temp.js';

/** Without privileges, as root's threads are not counted. */
const NOBODY = 64217;

test('steps are gone through where no thread can be had', () => {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  copyFileSync('build/Release/agentfw.node', join(dir, 'agentfw.node'));
  // Steps that name nothing there are left as they are: 2 in each place.
  const code = `const {landBatch}=require(${JSON.stringify(join(dir, 'agentfw.node'))}),status=new Uint8Array(2);
    setTimeout(()=>{
      require('child_process').execFileSync('prlimit',['--pid',String(process.pid),'--nproc=1']);
      landBatch(Buffer.alloc(2*88),Buffer.from('a\\0b\\0'),Uint32Array.of(1,2),status,2,2);
      console.log(status.join())},200)`;
  const nobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

  expect(execFileSync(process.execPath, ['-e', code], { ...nobody, cwd: dir, encoding: 'utf8' })).toBe('2,2\n');
});
