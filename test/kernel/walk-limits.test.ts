import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { plant } from './plant.js';
import { tempDir } from './temp.js';

/** Walks `up` against `down` again and again with ever fewer descriptors: how many ended, and of those how many told a base that is there. */
const WALKS = `const {execFileSync}=require('child_process'),{closeSync,openSync}=require('fs'),m=require(process.argv[1]);
  const up=openSync('up'),down=openSync('down'),taken=[];
  let ended=0,whole=0,failed=0;
  execFileSync('prlimit',['--pid',String(process.pid),'--nofile=128:']);
  try { for (;;) taken.push(openSync('/dev/null')) } catch {}
  for (let spare=0;spare<16;spare++) closeSync(taken.pop());
  for (let spare=16;spare>=4;spare--) {
    for (let i=0;i<25;i++) {
      const box=m.walkOpen(up,down,2,0n);
      let records=0,based=0,part=box;
      if (typeof box!=='number') {
        while (typeof (part=m.walkNext(box))==='object') {
          const words=new Uint32Array(part);
          for (let at=0;at<words.length;at+=words[at]/4) records++,based+=words[at+1]&1;
        }
        m.walkClose(box);
      }
      if (part<0) failed++; else ended++,whole+=records===based;
    }
    openSync('/dev/null');
  }
  console.log(JSON.stringify({all:ended===whole,ended:ended>0,failed:failed>0}))`;

test('a base that could not be opened for want of descriptors is an error, not absent', () => {
  const dir = tempDir();
  const tree: Record<string, string> = {};
  for (let i = 0; i < 160; i++) tree[`d${i % 40}/e${i % 4}/f${i}`] = String(i);
  plant(join(dir, 'up'), tree);
  plant(join(dir, 'down'), tree);

  const said = execFileSync(process.execPath, ['-e', WALKS, join(process.cwd(), 'build/Release/agentfw.node')], { cwd: dir, encoding: 'utf8' });

  expect(JSON.parse(said)).toEqual({ all: true, ended: true, failed: true });
});
