/**
 * The work that is measured, the same natively and inside:
 *
 *     node work.mjs make NAME DIR     lay out what NAME needs (not measured)
 *     node work.mjs NAME DIR          do it; prints milliseconds as JSON
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, renameSync, rmSync, unlinkSync, writeFileSync, openSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

/** Each starts cc, its compiler and its assembler. */
const COMPILES = 150;
/** A build of 5,000 programs: as many small files compiled as steps of a shell with one program in them. */
const STEPS = 1000;
const MAKEFILE = `all: $(patsubst %.c,o/%.o,$(wildcard *.c)) $(patsubst %.c,o/%.s,$(wildcard *.c))
o/%.o: %.c
\tcc -c -O1 -o $@ $<
o/%.s: %.c
\ttest -d o && cp $< $@ || false
`;

const text = (n) => `${`line ${n} of a small source file\n`.repeat(3 + (n % 20))}`;
const range = (n) => Array.from({ length: n }, (_, i) => i);
const quiet = (file, args, cwd) => execFileSync(file, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'], maxBuffer: 1 << 28 });

function files(dir, count, perDir = 100) {
  for (const n of range(count)) {
    if (n % perDir === 0) mkdirSync(join(dir, `d${n / perDir}`), { recursive: true });
    writeFileSync(join(dir, `d${Math.floor(n / perDir)}`, `f${n}.js`), text(n));
  }
}

const at = (dir, n) => join(dir, `d${Math.floor(n / 100)}`, `f${n}.js`);

function timed(body) {
  const start = performance.now();
  body();
  return performance.now() - start;
}

const work = {
  create: {
    make: (dir) => mkdirSync(dir, { recursive: true }),
    run: (dir) => ({ 'create 20,000 and delete 10,000 small files': timed(() => {
      files(dir, 20_000);
      for (const n of range(10_000)) unlinkSync(at(dir, 2 * n));
    }) }),
  },
  edit: {
    make: (dir) => files(dir, 10_000),
    run: (dir) => ({ 'edit 4,000 existing files': timed(() => {
      for (const n of range(4_000)) appendFileSync(at(dir, n * 2), 'one more line\n');
    }) }),
  },
  untar: {
    make: (dir) => {
      mkdirSync(dir, { recursive: true });
      for (const n of range(600)) {
        const root = join(dir, 'node_modules', n % 3 ? `package-${n}` : `@scope/package-${n}`);
        mkdirSync(join(root, 'dist/esm'), { recursive: true });
        writeFileSync(join(root, 'package.json'), text(n));
        for (const m of range(24)) writeFileSync(join(root, m % 2 ? 'dist' : 'dist/esm', `m${m}.js`), text(n * m).repeat(2));
      }
      quiet('tar', ['cf', 'tree.tar', 'node_modules'], dir);
      rmSync(join(dir, 'node_modules'), { recursive: true });
    },
    run: (dir) => ({ 'untar 15,000 files as in node_modules': timed(() => quiet('tar', ['xf', 'tree.tar'], dir)) }),
  },
  git: {
    make: (dir) => {
      files(dir, 20_000);
      for (const args of [['init', '-q', '.'], ['config', 'gc.auto', '0'], ['add', '-A'], commitArgs('one')]) quiet('git', args, dir);
    },
    run: (dir) => ({ '`git status` and `git commit` on 20,000 files': timed(() => {
      for (const n of range(200)) writeFileSync(at(dir, n * 50), 'edited\n');
      for (const args of [['status', '--short'], ['add', '-A'], commitArgs('two'), ['status', '--short']]) quiet('git', args, dir);
    }) }),
  },
  grep: {
    make: (dir) => files(dir, 20_000),
    run: (dir) => {
      const grep = () => {
        try {
          quiet('grep', ['-r', 'no such words anywhere', dir], dir);
        } catch (error) {
          if (error.status !== 1) throw error;
        }
      };
      const cold = timed(grep);
      grep();
      return { '`grep -r` over 20,000 files, cold': cold, '`grep -r` over 20,000 files, warm': timed(grep) };
    },
  },
  sqlite: {
    make: (dir) => mkdirSync(dir, { recursive: true }),
    run: (dir) => JSON.parse(execFileSync('/usr/bin/python3', ['-c', `
import json, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma synchronous=full")
db.execute("create table t (a integer primary key, b text)")
start = time.perf_counter()
for n in range(300):
    db.execute("insert into t (b) values (?)", ("x" * 100,))
print(json.dumps({"sqlite, 300 transactions with fsync": (time.perf_counter() - start) * 1000}))
`, join(dir, 'base.db')], { encoding: 'utf8' })),
  },
  fork: {
    make: (dir) => mkdirSync(dir, { recursive: true }),
    run: (dir) => ({ '3,000 × `/bin/true`': timed(() => quiet('bash', ['-c', 'for ((i = 0; i < 3000; i++)); do /bin/true; done'], dir)) }),
  },
  compile: {
    make: (dir) => {
      mkdirSync(dir, { recursive: true });
      for (const n of range(COMPILES)) writeFileSync(join(dir, `f${n}.c`), `#include <stdio.h>\nint f${n}(int a)\n{\n\treturn printf("%d\\n", a + ${n});\n}\n`);
    },
    run: (dir) => ({ [`${COMPILES} × \`cc -c\``]: timed(() => quiet('sh', ['-c', 'for f in *.c; do cc -O1 -c "$f"; done'], dir)) }),
  },
  build: {
    make: (dir) => {
      mkdirSync(join(dir, 'o'), { recursive: true });
      writeFileSync(join(dir, 'Makefile'), MAKEFILE);
      for (const n of range(STEPS)) writeFileSync(join(dir, `f${n}.c`), `int f${n}(int a)\n{\n\treturn a * ${n};\n}\n`);
    },
    run: (dir) => ({ 'a `make -j2` that starts 5,000 programs': timed(() => quiet('make', ['-s', '-j2'], dir)) }),
  },
  append: {
    make: (dir) => {
      mkdirSync(dir, { recursive: true });
      const fd = openSync(join(dir, 'large'), 'w');
      const block = Buffer.alloc(1 << 20, 'some bytes ');
      for (const _ of range(1024)) writeSync(fd, block);
      closeSync(fd);
    },
    run: (dir) => ({ 'append one byte to a 1 GiB file': timed(() => appendFileSync(join(dir, 'large'), 'x')) }),
  },
  renames: {
    make: (dir) => {
      files(join(dir, 'from'), 20_000);
      for (const n of range(200)) mkdirSync(join(dir, 'to', `d${n}`), { recursive: true });
    },
    run: (dir) => ({ 'rename 20,000 files to other directories': timed(() => {
      for (const n of range(20_000)) renameSync(at(join(dir, 'from'), n), at(join(dir, 'to'), n));
    }) }),
  },
  changes: {
    make: (dir) => files(dir, 10_000),
    run: (dir) => ({ changes: timed(() => {
      files(join(dir, 'new'), 10_000);
      for (const n of range(6_000)) writeFileSync(at(dir, n), `${text(n)}changed\n`);
      for (const n of range(4_000)) unlinkSync(at(dir, 6_000 + n));
    }) }),
  },
};

function commitArgs(message) {
  return ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', 'commit', '-q', '-m', message];
}

const [first, second, third] = process.argv.slice(2);
if (first === 'make') work[second].make(third);
else if (first === 'list') console.log(JSON.stringify(Object.keys(work)));
else {
  readdirSync(second); // the directory is there
  console.log(JSON.stringify(work[first].run(second)));
}
