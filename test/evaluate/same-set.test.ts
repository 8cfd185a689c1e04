/** `verify --same-as`: a set against itself, against one with another code, and against sets of other recipes. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyCommand } from '../../src/cli/commands/verify.js';
import { compile } from '../../src/compile/compile.js';
import { differenceOf } from '../../src/evaluate/same/same-set.js';
import { digestsOf } from '../../src/files/range-digests.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { openSetOf } from '../../src/set/facts.js';
import { dataName, idOf } from '../../src/set/set-identity.js';
import { openSet, type SetManifest, writeManifest } from '../../src/set/set-manifest.js';
import { runHere } from '../support/command-line.js';
import { COMPILE } from '../support/compile.js';
import { SmallSet } from '../support/nested.js';
import { mistral } from '../support/stories.js';

let small: SmallSet;
beforeAll(() => {
  small = new SmallSet();
});
afterAll(() => small.close());

/** A copy with other data and a manifest that says so. */
function changed(edit: (data: Buffer, manifest: SetManifest) => void, fields: Partial<SetManifest> = {}): string {
  const folder = small.copy();
  const path = join(folder, 'model.json');
  const { manifest, dataPath } = openSet(path);
  const data = readFileSync(dataPath);
  edit(data, manifest);
  writeFileSync(dataPath, data);
  const ends = [manifest.sections[0]?.start ?? 0, ...manifest.sections.map(({ end }) => end)];
  const [, ...digests] = digestsOf(dataPath, ends);
  const sections = manifest.sections.map((section, at) => ({ ...section, sha256: digests[at] as string }));
  const id = idOf({ ...manifest, sections });
  renameSync(dataPath, join(folder, dataName('model', id)));
  writeManifest(path, { ...manifest, ...fields, sections, id, data: dataName('model', id) });
  return folder;
}

const nothing = (): void => undefined;
/** Flips the lowest bit of the first int8 code of the first projection. */
const flipCode = (data: Buffer, { layout }: SetManifest): void => {
  const plane = layout.projections[0]?.planes.at(-1);
  const at = plane?.offset ?? -1;
  data[at] = (data[at] as number) ^ 1;
};

const verify = (...args: readonly string[]): ReturnType<typeof runHere> =>
  runHere(['verify', ...args, '--quiet'], [verifyCommand]);

describe('differenceOf', () => {
  it('finds nothing between a set and its copy', () => {
    const found = differenceOf(small.whole, small.copy());
    expect(found).toMatchObject({ equal: true, codes: 0, change: 0, notes: [] });
    expect(found.precisions.map(({ bits, weights }) => [bits, weights])).toEqual([2, 4, 8].map((bits) => [bits, 3072]));
  });

  it('counts a flipped code at the precisions that read its bit, in steps of its code', () => {
    const found = differenceOf(small.whole, changed(flipCode));
    expect(found).toMatchObject({ equal: false, codes: 1 / 3072 });
    expect(found.precisions).toMatchObject([
      { bits: 2, codes: 0, largest: 0 },
      { bits: 4, codes: 0, largest: 0 },
      { bits: 8, codes: 1, tables: 0, at: 'layers.0.gate' },
    ]);
    expect(found.precisions[2]?.largest).toBeCloseTo(1, 4);
    expect(found.change).toBeCloseTo(1 / Math.sqrt(3072), 4);
  });

  it('counts changed tables', () => {
    const found = differenceOf(
      small.whole,
      changed((data, { layout }) => {
        const at = layout.projections[1]?.tables.find(({ bits }) => bits === 4)?.scale.offset ?? -1;
        data[at] = (data[at] as number) ^ 0x80;
      }),
    );
    expect(found.precisions).toMatchObject([
      { bits: 2, tables: 0 },
      { bits: 4, codes: 0, tables: 1, at: 'layers.0.up' },
      { bits: 8, tables: 0 },
    ]);
    expect(found.precisions[1]?.largest).toBeGreaterThan(0);
  });

  it('compares nested token tables too', async () => {
    const recipe = parseRecipe({ method: 'rtn', bits: [8, 2], embeddingBits: { 2: 3 } });
    const output = join(small.root, 'tables');
    await compile({ ...COMPILE, model: mistral, output, recipe }, silentContext());
    const { layout } = openSetOf(output).manifest;
    const weights = [...layout.projections, ...(layout.tokenTables ?? [])].reduce((sum, { n, k }) => sum + n * k, 0);
    expect(layout.tokenTables).not.toHaveLength(0);
    expect(differenceOf(output, output)).toMatchObject({ equal: true, precisions: [{ weights }, { weights }] });
  });

  it('says which fields of the recipes differ', () => {
    const { notes, equal } = differenceOf(small.whole, changed(nothing, { recipe: { damping: 0.1 } }));
    expect({ notes, equal }).toEqual({ notes: ['The recipes differ in damping.'], equal: true });
  });

  it.each([
    ['blocks', { block: 16 }, /layers\.0\.gate is \[24, 64\] in blocks of 16 at 2\/4\/8 bits, not/],
    ['precisions', { bits: [4, 8] }, /it has the precisions 4, 8, not 2, 4, 8/],
    ['decode', { decode: 'mid' }, /decode is mid, not ab/],
  ] as const)('refuses a set with other %s', (_, options, message) => {
    const other = new SmallSet(options);
    const compared = (): unknown => differenceOf(small.whole, other.whole);
    expect(compared).toThrow(
      expect.objectContaining({ code: 'not-comparable', message: expect.stringMatching(message) }),
    );
    other.close();
  });
});

describe('verify --same-as', () => {
  it('ends with 0 for equal bytes, with or without a model in front', async () => {
    const other = small.copy();
    expect(await verify(small.whole, '--same-as', other)).toMatchObject({
      code: 0,
      stdout: `Data and graphs have the same bytes as those of ${other}.\n`,
    });
    expect(await verify('model.onnx', small.whole, '--same-as', join(other, 'model.json'))).toMatchObject({ code: 0 });
  });

  it('ends with 3 beyond the limits, and with 0 within', async () => {
    const other = changed(flipCode);
    const plain = await verify(small.whole, '--same-as', other);
    expect(plain.code).toBe(3);
    expect(plain.stdout).toContain(`DIFFERENT  ${other}: Data or graphs do not have the same bytes.`);
    expect(plain.stdout).toMatch(/int8 +0\.0326 % +0 +0\.0180 +1\.00 +layers\.0\.gate/);
    expect(await verify(small.whole, '--same-as', other, '--max-code-share', '0.01')).toMatchObject({ code: 0 });
    const beyond = await verify(
      small.whole,
      '--same-as',
      other,
      '--max-code-share',
      '0.01',
      '--max-weight-change',
      '0.001',
    );
    expect(beyond.code).toBe(3);
    expect(beyond.stdout).toContain('The RMS change of the weights in steps is 0.0180, the limit is 0.001.');
  });

  it('prints the difference as JSON and into a test report', async () => {
    const other = changed(flipCode);
    const file = join(small.root, 'same.xml');
    const { stdout } = await verify(small.whole, '--same-as', other, '--json', '--junit', file);
    expect(JSON.parse(stdout)).toMatchObject({ passed: false, same: { passed: false, equal: false, with: other } });
    expect(readFileSync(file, 'utf8')).toMatch(/<testsuite .* tests="1" failures="1">\n.*is not the same/);
  });

  it('refuses limits without a set, and a set without another', async () => {
    expect(await verify(small.whole, '--max-code-share', '1')).toMatchObject({ code: 2 });
    const { code, stderr } = await verify('--same-as', small.whole);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('needs a set to compare') });
  });
});
