/** A changed bit in any file of a set, by every verb that reads it. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { verify } from '../../src/evaluate/verify.js';
import { silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { requireSound } from '../../src/onnx/convert/check-model.js';
import { report } from '../../src/report/report.js';
import { append } from '../../src/set/append.js';
import { openSet } from '../../src/set/set-manifest.js';
import { slice } from '../../src/set/slice.js';
import { SmallSet } from '../support/nested.js';

const context = silentContext();
let small: SmallSet;
let whole: string;
let data: string;
beforeAll(() => {
  small = new SmallSet();
  ({ whole, data } = small);
});
afterAll(() => small.close());

/** A copy of the set in which a bit of a file is another. */
let folder: string;
beforeEach(() => {
  folder = small.copy();
});

function flip(name: string, at: number): void {
  const path = join(folder, name);
  const bytes = readFileSync(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] as number) ^ 4;
  writeFileSync(path, bytes);
}

const set = (): string => join(folder, 'model.json');
const out = (): string => join(folder, 'out', 'm.onnx');
const bitsFile = (): string => {
  writeFileSync(join(folder, 'bits.txt'), '{"*":8}');
  return join(folder, 'bits.txt');
};
const ids = (): string => {
  writeFileSync(join(folder, 'ids.txt'), '[1,2,3]');
  return join(folder, 'ids.txt');
};
const digests = async (path: string): Promise<void> => {
  const result = await verify({ thresholds: {}, digests: [path], window: 8, threads: 1 }, context);
  if (!result.passed) throw Object.assign(new Error('not passed'), { code: 'damaged' });
};

const VERBS: Readonly<Record<string, () => Promise<unknown>>> = {
  slice: () => slice({ set: set(), bits: 8, output: out(), standalone: false, slice: 'prefix' }, context),
  standalone: () => slice({ set: set(), bits: 8, output: out(), standalone: true, slice: 'prefix' }, context),
  paper: () => slice({ set: set(), bits: 2, output: out(), standalone: true, slice: 'paper' }, context),
  'mix elsewhere': () => mix({ set: set(), goal: { bitsFile: bitsFile() }, output: out(), standalone: false }, context),
  'mix of the set': () => mix({ set: set(), goal: { bitsFile: bitsFile() }, standalone: false }, context),
  report: () => report({ folder }, context),
  append: () => append({ set: set(), bits: 8, from: join(whole, data) }, context),
  digests: () => digests(set()),
};

const GRAPH_VERBS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  verify: (candidate) =>
    verify({ original: candidate, candidate, thresholds: { maxSize: 1e9 }, window: 8, threads: 1 }, context),
  eval: (path) =>
    evaluate({ reference: path, candidates: [], text: { ids: ids() }, window: 8, threads: 1, speed: false }, context),
  digests,
};

const damaged = { code: 'damaged' };

describe('a changed bit is noticed', () => {
  const setVerbs = Object.entries(VERBS);
  it.each(setVerbs)('in the data, by %s', async (_, verb) => {
    const { sections } = openSet(set()).manifest;
    for (const at of [0, ...sections.map(({ end }) => end - 1), sections[0]?.start ?? 0]) {
      flip(data, at);
      await expect(verb()).rejects.toMatchObject(damaged);
      flip(data, at);
    }
    await expect(verb()).resolves.not.toThrow();
  });

  it.each(setVerbs)('in the manifest, by %s', async (_, verb) => {
    const length = readFileSync(set()).length;
    for (const at of [5, length >> 1, -3, -1, -20]) {
      flip('model.json', at);
      await expect(verb()).rejects.toMatchObject({ code: expect.stringMatching(/damaged|not-a-set/) });
      flip('model.json', at);
    }
  });

  it.each(setVerbs.filter(([name]) => name !== 'append'))('in the graph that is read, by %s', async (_, verb) => {
    const length = readFileSync(join(folder, 'model_int2.onnx')).length;
    for (const at of [1, length >> 1, -1]) {
      flip('model_int2.onnx', at);
      await expect(verb()).rejects.toMatchObject(damaged);
      flip('model_int2.onnx', at);
    }
  });

  it.each(Object.entries(GRAPH_VERBS))('in a graph of the set, or in what it reads, by %s', async (_, verb) => {
    const path = join(folder, 'model_int4.onnx');
    const length = readFileSync(path).length;
    const marker = readFileSync(path).indexOf('matquant.sha256');
    const record = readFileSync(path).indexOf('matquant.data');
    for (const at of [8, length >> 1, marker + 3, record + 3, marker + 30, record + 20, -1]) {
      flip('model_int4.onnx', at);
      await expect(verb(path)).rejects.toMatchObject({ code: expect.stringMatching(/damaged|not-onnx|truncated/) });
      flip('model_int4.onnx', at);
    }
    const { sections } = openSet(set()).manifest;
    flip(data, sections[1]?.start ?? 0);
    await expect(verb(path)).rejects.toMatchObject(damaged);
  });

  it('not in what a graph does not read', () => {
    const { sections } = openSet(set()).manifest;
    flip(data, (sections[1]?.end ?? 0) + 1);
    expect(() => requireSound(join(folder, 'model_int4.onnx'))).not.toThrow();
    expect(() => requireSound(join(folder, 'model_int8.onnx'))).toThrow(expect.objectContaining(damaged));
  });

  it.each([
    ['standalone', true],
    ['compact', false],
  ])('in the data of a %s model', async (_, standalone) => {
    await mix({ set: set(), goal: { bitsFile: bitsFile() }, output: out(), standalone }, context);
    requireSound(out());
    flip('out/m.onnx_data', 100);
    expect(() => requireSound(out())).toThrow(expect.objectContaining(damaged));
    flip('out/m.onnx_data', 100);
    flip('out/m.onnx', 60);
    expect(() => requireSound(out())).toThrow();
  });
});

describe('files of different sets', () => {
  it('are told apart: a graph of another set, and the data of another set under the same name', async () => {
    const other = new SmallSet({ block: 16 });
    expect(other.data).not.toBe(data);
    copyFileSync(join(other.whole, 'model_int2.onnx'), join(folder, 'model_int2.onnx'));
    await expect(VERBS['slice']?.()).rejects.toMatchObject(damaged);
    copyFileSync(join(whole, 'model_int2.onnx'), join(folder, 'model_int2.onnx'));
    copyFileSync(join(other.whole, other.data), join(folder, data));
    other.close();
    expect(() => requireSound(join(folder, 'model_int2.onnx'))).toThrow(expect.objectContaining(damaged));
  });

  it('a data file that is cut names what is missing', () => {
    const { sections } = openSet(set()).manifest;
    const bytes = readFileSync(join(folder, data)).subarray(0, sections[0]?.end);
    writeFileSync(join(folder, data), bytes);
    requireSound(join(folder, 'model_int2.onnx'));
    expect(() => requireSound(join(folder, 'model_int4.onnx'))).toThrow(
      expect.objectContaining({ code: 'precision-missing' }),
    );
  });
});

it('says what is damaged and what is sound', async () => {
  flip('model_int8.onnx', 40);
  flip(data, 0);
  const {
    passed,
    checks,
    digests: found,
  } = await verify({ thresholds: {}, digests: [folder], window: 8, threads: 1 }, context);
  expect({ passed, checks }).toEqual({ passed: false, checks: [] });
  const wrong = found?.filter(({ problem }) => problem !== undefined).map(({ at, part }) => [basename(at), part]);
  expect(wrong).toEqual([
    ['model_int8.onnx', 'graph of int8'],
    [data, 'int2 section'],
  ]);
  expect(found).toHaveLength(8);
});
