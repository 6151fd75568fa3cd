import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const source = (name: string): string => readFileSync(new URL(`../../src/policy/${name}`, import.meta.url), 'utf8');

describe('the policy room', () => {
  test.each(['judge.ts', 'compile.ts', 'engine.ts', 'verdict.ts', 'thresholds.ts', 'settings.ts', 'holes.ts', 'passthrough.ts', 'explain.ts', 'environment.ts', 'match.ts', 'pattern.ts', 'host.ts', 'state.ts', 'standin.ts', 'compare.ts'])('%s touches no file, clock, chance or process', (name) => {
    expect(source(name)).not.toMatch(/node:(fs|os|child_process|net|process)|Date\.|performance\.|Math\.random|process\./);
  });

  test('what is slow to load is loaded by the reader only', () => {
    for (const name of readdirSync(new URL('../../src/policy/', import.meta.url)).filter((file) => !['yaml.ts', 'schema.ts', 'shape.ts', 'cases.ts'].includes(file))) {
      expect(source(name)).not.toMatch(/^import (?!type)[^;]* from '(yaml|zod|tldts|ipaddr\.js)'/m);
    }
  });
});
