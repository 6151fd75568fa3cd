import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changesIn, commit, makeWorld, picture, sh, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

describe('a commit of everything', () => {
  test('lands each kind of change and empties the layer (I9)', () => {
    sh(world, 'echo a >$H/a; echo b >$H/b; mkdir -p $H/d/e; echo x >$H/d/x; echo y >$H/d/e/y; ln -s a $H/l; mkdir $H/gone; echo g >$H/gone/g');
    sh(world, 'mkdir -p $U/d/e; echo A2 >$U/a; wh $U/b; echo new >$U/d/new; wh $U/d/e/y; mkdir -p $U/n/m; echo n >$U/n/m/n; ln -s t $U/n/l; wh $U/gone; chmod 700 $U/d');

    const result = commit(world);

    expect(result).toMatchObject({ state: 'landed', refused: [] });
    expect(picture(world.host)).toBe([
      '/ 755', '/a 644 x1 QTIK', '/d/ 700', '/d/e/ 755', '/d/new 644 x1 bmV3Cg==', '/d/x 644 x1 eAo=',
      '/l -> a', '/n/ 755', '/n/l -> t', '/n/m/ 755', '/n/m/n 644 x1 bgo=',
    ].join('\n'));
    expect(changesIn(world)).toEqual([]);
    expect(picture(world.upper)).toBe('/ 755');
  });
  test('moves: the inode of the layer is the inode on the host', () => {
    sh(world, 'echo a >$H/a; echo A2 >$U/a');
    const { ino } = statSync(join(world.upper, 'a'));

    commit(world);

    expect(statSync(join(world.host, 'a')).ino).toBe(ino);
  });
});
