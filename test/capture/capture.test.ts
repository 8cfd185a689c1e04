import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type CaptureOptions, capture } from '../../src/capture/capture.js';
import type { Override } from '../../src/capture/segment-request.js';
import { SegmentRunner } from '../../src/capture/segment-runner.js';
import { type GroupStatistics, mergeGroups, type Statistics } from '../../src/capture/statistics.js';
import { CompilerError } from '../../src/diagnostics.js';
import { modelBytes } from '../../src/onnx/convert/export.js';
import type { Node, Value } from '../../src/onnx/ir/graph.js';
import { tensorOf } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, type OpenOptions, type Runtime } from '../../src/runtime/runtime.js';
import { type Decoder, type DecoderSpec, decoder } from '../support/decoder.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const spec: DecoderSpec = { layers: 2, hidden: 16, ffn: 144, vocabulary: 40 };
const windows = [5, 9, 9, 9, 5, 7].map((length, at) =>
  Int32Array.from({ length }, (_, i) => (i * 7 + at * 3 + 1) % 40),
);
const layerBytes = (4 * 16 * 16 + 3 * 16 * 144) * 4;
const small: CaptureOptions = {
  maxWeightBytes: layerBytes * 1.05,
  batch: 2,
  machine: { threads: 1, memoryBytes: 1e9 },
};

/** Sums over rows from the definition, on the whole model run window by window. */
const reference = async (spec: DecoderSpec, firstWeight = 1): Promise<ReadonlyMap<string, GroupStatistics>> => {
  const { model, analysis } = decoder(spec);
  const rewriter = new Rewriter(model);
  const inputs = new Map(analysis.projections.map(({ group, sites, k }) => [group, { value: sites[0]?.input, k }]));
  for (const { value } of inputs.values())
    if (value) rewriter.addOutput(model.graph, value, { dtype: 'float32', shape: undefined });
  const session = await ortRuntime.open(modelBytes(model), { threads: 1 });
  const runs = await Promise.all(
    windows.map((ids) =>
      session.run({
        input_ids: integers(ids, [1, ids.length]),
        attention_mask: integers(
          ids.map(() => 1),
          [1, ids.length],
        ),
      }),
    ),
  );
  await session.close();
  const statistics = [...inputs].map(([group, { value, k }]): [string, GroupStatistics] => {
    const gram: number[] = new Array((k * (k + 1)) / 2).fill(0);
    const sum = new Float64Array(k);
    let tokens = 0;
    for (const outputs of runs) {
      const x = outputs[value?.name ?? '']?.data as Float32Array;
      for (let row = 0; row * k < x.length; row++) {
        const weight = row === 0 ? firstWeight : 1;
        tokens += weight;
        let at = 0;
        for (let i = 0; i < k; i++) {
          sum[i] = (sum[i] ?? 0) + weight * (x[row * k + i] ?? 0);
          for (let j = i; j < k; j++, at++)
            gram[at] = (gram[at] ?? 0) + weight * (x[row * k + i] ?? 0) * (x[row * k + j] ?? 0);
        }
      }
    }
    return [group, { group, k, tokens, gram: Float64Array.from(gram), sum }];
  });
  return new Map(statistics);
};

/** Largest difference of two arrays, relative to the largest magnitude in them. */
const distance = (a: Float64Array, b: Float64Array): number => {
  const scale = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? 0))), 0) / scale;
};

const expectSame = async (statistics: Statistics, expected: ReadonlyMap<string, GroupStatistics>): Promise<void> => {
  expect([...statistics.groups].toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [group, wanted] of expected) {
    const found = await statistics.load(group);
    expect(found.tokens).toBeCloseTo(wanted.tokens, 9);
    expect(distance(wanted.gram, found.gram)).toBeLessThan(2e-6);
    expect(distance(wanted.sum, found.sum)).toBeLessThan(2e-6);
  }
};

const run = (
  { model, analysis }: Decoder,
  options: CaptureOptions,
  runtime: Runtime = ortRuntime,
  texts = windows,
): Promise<Statistics> => capture(model, analysis, texts, runtime, options);

describe('capture', () => {
  it('gives the Gram matrices and sums of the whole model, segment by segment', async () => {
    const progress: number[] = [];
    const found = await run(decoder(spec), { ...small, onProgress: ({ done }) => progress.push(done) });
    await expectSame(found, await reference(spec));
    expect(progress.at(-1)).toBeCloseTo(1, 6);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  it('gives the same numbers in float64 whatever the order of the sums, which float32 does not', async () => {
    const orders: readonly CaptureOptions[] = [
      { ...small, batch: 1 },
      { ...small, batch: 3 },
    ];
    const all = async (inFloat64: boolean): Promise<readonly object[]> =>
      Promise.all(
        orders.map(async (order) => {
          const found = await run(decoder(spec), { ...order, inFloat64 });
          return Promise.all(found.groups.map((group) => found.load(group)));
        }),
      );
    const [one, other] = await all(true);
    expect(one).toEqual(other);
    const [float, otherFloat] = await all(false);
    expect(float).not.toEqual(otherFloat);
    const wide = await run(decoder(spec), { ...small, inFloat64: true });
    expect(wide.header.inFloat64).toBe(true);
    expect(wide.header.digest).not.toBe((await run(decoder(spec), small)).header.digest);
    const expected = await reference(spec);
    for (const [group, wanted] of expected) {
      const found = await wide.load(group);
      expect(distance(wanted.gram, found.gram)).toBeLessThan(2 ** -15);
      expect(distance(wanted.sum, found.sum)).toBeLessThan(2 ** -13);
    }
  });

  it('says which operator has no float64 kernel', async () => {
    const made = decoder(spec);
    const [old] = made.model.graph.nodes.filter(({ op }) => op === 'Sigmoid') as [Node];
    new Rewriter(made.model).replaceNode(old, { name: 'erf', op: 'Erf', inputs: [...old.inputs] });
    await expect(run(made, { ...small, inFloat64: true })).rejects.toMatchObject({
      code: 'capture-float64',
      message: 'The model cannot be captured in float64: ONNX Runtime has no float64 kernel for Erf',
    });
  });

  it('agrees with an independent forward pass (scripts/make-capture-fixtures.py)', async () => {
    const { spec: made, groups } = JSON.parse(readFileSync(fixture('calibrate/decoder-statistics.json'), 'utf8')) as {
      readonly spec: DecoderSpec;
      readonly groups: Readonly<Record<string, { tokens: number; gram: number[]; sum: number[] }>>;
    };
    const found = await run(decoder(made), { ...small, maxWeightBytes: 1 });
    expect([...found.groups].toSorted()).toEqual(Object.keys(groups).toSorted());
    for (const [group, { tokens, gram, sum }] of Object.entries(groups)) {
      const statistics = await found.load(group);
      expect(statistics.tokens).toBe(tokens);
      expect(distance(Float64Array.from(gram), statistics.gram)).toBeLessThan(2e-5);
      expect(distance(Float64Array.from(sum), statistics.sum)).toBeLessThan(2e-5);
    }
  });

  it('gives the same in one segment, and from a merged decoder', async () => {
    const expected = await reference(spec);
    await expectSame(await run(decoder(spec), {}), expected);
    await expectSame(await run(decoder({ ...spec, merged: true }), small), expected);
  });

  it('carries half precision across segments without loss', async () => {
    const half = { ...spec, half: true };
    const [cut, whole] = [await run(decoder(half), small), await run(decoder(half), {})];
    const expected = await reference(spec);
    for (const group of whole.groups) {
      const [a, b] = [await cut.load(group), await whole.load(group)];
      expect(distance(a.gram, b.gram)).toBeLessThan(1e-3);
      expect(distance((expected.get(group) as GroupStatistics).gram, a.gram)).toBeLessThan(1e-2);
    }
  });

  it('weights the first position of every window', async () => {
    await expectSame(await run(decoder(spec), { ...small, firstWeight: 0.25 }), await reference(spec, 0.25));
  });

  it('spills activations to files and leaves no file behind', async () => {
    const temporary = mkdtempSync(`${temporaryFolder()}/work-`);
    await expectSame(
      await run(decoder(spec), { ...small, machine: { threads: 1, memoryBytes: 0, temporary } }),
      await reference(spec),
    );
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('collects only what is in scope', async () => {
    const found = await run(decoder(spec), { ...small, scope: ({ role }) => role === 'down' });
    expect(found.groups).toEqual(['layers.0.down-in', 'layers.1.down-in']);
  });

  it('is the same to the byte for any number of threads', async () => {
    const [one, two] = [
      await run(decoder(spec), small),
      await run(decoder(spec), { ...small, machine: { threads: 2, memoryBytes: 1e9 } }),
    ];
    for (const group of one.groups) expect((await one.load(group)).gram).toEqual((await two.load(group)).gram);
  });

  it('adds up over parts of the text', async () => {
    const whole = await run(decoder(spec), small);
    const halves = await Promise.all([
      run(decoder(spec), small, ortRuntime, windows.slice(0, 2)),
      run(decoder(spec), small, ortRuntime, windows.slice(2)),
    ]);
    for (const group of whole.groups) {
      const [a, b] = await Promise.all(halves.map((half) => half.load(group)));
      const merged = mergeGroups(a as GroupStatistics, b as GroupStatistics);
      expect(distance((await whole.load(group)).gram, merged.gram)).toBeLessThan(1e-6);
    }
  });

  it('finds the statistics of an earlier run, and goes on after an interruption', async () => {
    const folder = temporaryFolder();
    const opened: string[] = [];
    const counting: Runtime = {
      open: (model, options?: OpenOptions) => {
        opened.push(String(model));
        return ortRuntime.open(model, options);
      },
    };
    const abort = new AbortController();
    const interrupted = run(
      decoder(spec),
      { ...small, folder, signal: abort.signal, onProgress: ({ segment }) => segment === 2 && abort.abort() },
      counting,
    );
    await expect(interrupted).rejects.toThrow(/abort/i);
    const written = readdirSync(folder);
    expect(written.some((name) => name.startsWith('layers.0.ffn-in'))).toBe(true);
    expect(written).not.toContain('statistics.json');
    const finished = await run(decoder(spec), { ...small, folder }, counting);
    await expectSame(finished, await reference(spec));
    const before = opened.length;
    await run(decoder(spec), { ...small, folder }, counting);
    expect(opened).toHaveLength(before);
    await run(decoder({ ...spec, vocabulary: 41 }), { ...small, folder }, counting);
    expect(opened.length).toBeGreaterThan(before);
  });

  it('runs window by window when the model takes no batches', async () => {
    const single: Runtime = {
      open: async (model, options) => {
        const session = await ortRuntime.open(model, options);
        const run: typeof session.run = (feeds, fetches) => {
          if (Object.values(feeds).some(({ dims }) => dims.length > 2 && (dims[0] ?? 1) > 1)) {
            throw new CompilerError('runtime-failed', 'test', 'one window at a time');
          }
          return session.run(feeds, fetches);
        };
        return { at: session.at, inputs: session.inputs, outputs: session.outputs, run, close: () => session.close() };
      },
    };
    const { batch: _, ...options } = small;
    await expectSame(await run(decoder(spec), options, single), await reference(spec));
    await expect(run(decoder(spec), small, single)).rejects.toMatchObject({ code: 'runtime-failed' });
  });

  it('refuses empty text', async () => {
    await expect(run(decoder(spec), small, ortRuntime, [])).rejects.toMatchObject({ code: 'empty-text' });
    await expect(run(decoder(spec), small, ortRuntime, [new Int32Array(0)])).rejects.toMatchObject({
      code: 'empty-text',
    });
  });
});

/** Xᵀ X_float [K, K] from rows, by the definition. */
/** X̂ᵀ(X - X̂). */
const changeOf = (rows: ReadonlyMap<string, readonly Float32Array[]>, k: number): Float64Array => {
  const [x, y] = [rows.get('student') ?? [], rows.get('float') ?? []];
  const total = new Float64Array(k * k);
  x.forEach((part, at) => {
    const other = y[at] ?? new Float32Array(part.length);
    for (let row = 0; row < part.length; row += k) {
      for (let to = 0; to < k * k; to++) {
        total[to] =
          (total[to] ?? 0) +
          (part[row + Math.floor(to / k)] ?? 0) * ((other[row + (to % k)] ?? 0) - (part[row + (to % k)] ?? 0));
      }
    }
  });
  return total;
};

describe('SegmentRunner', () => {
  const open = (made: Decoder): SegmentRunner =>
    new SegmentRunner(made.model, made.analysis, windows, ortRuntime, small);

  it('runs a segment again with other weights before the stream goes on', async () => {
    const made = decoder(spec);
    const runner = open(made);
    const stream = runner.stream();
    await runner.run(stream);
    const before = await runner.run(stream, { advance: false });
    // W [K, N] of the model, doubled, as [N, K].
    const doubled = (id: string, k: number, n: number): Float32Array => {
      const weight = made.weights.get(id) as Float32Array;
      return Float32Array.from({ length: k * n }, (_, at) => 2 * (weight[(at % k) * n + Math.floor(at / k)] ?? 0));
    };
    const after = await runner.run(stream, {
      override: ({ id, k, n }) => (id === 'layers.0.up' ? doubled(id, k, n) : undefined),
    });
    const of = (list: readonly GroupStatistics[], group: string): GroupStatistics =>
      list.find((each) => each.group === group) as GroupStatistics;
    expect(distance(of(before, 'layers.0.ffn-in').gram, of(after, 'layers.0.ffn-in').gram)).toBeLessThan(1e-9);
    const scaled = of(before, 'layers.0.down-in').gram.map((value) => 4 * value);
    expect(distance(scaled, of(after, 'layers.0.down-in').gram)).toBeLessThan(1e-6);
    expect(stream.next).toBe(2);
    runner.close();
  });

  it('finds no change where a stream is the float one', async () => {
    const made = decoder(spec);
    const runner = open(made);
    const [student, reference] = [runner.stream(), runner.stream()];
    for (const _ of runner.segments) {
      const same = await runner.run(student, { reference });
      for (const statistics of same) {
        expect(statistics.change).toEqual(new Float64Array(statistics.k ** 2));
      }
    }
    expect([student.next, reference.next]).toEqual([runner.segments.length, runner.segments.length]);
    runner.close();
  });

  it('gives the statistics of a model whose layers were exchanged, and what changes beside the float ones', async () => {
    const rounded =
      (made: Decoder) =>
      (id: string): Float32Array =>
        (made.weights.get(id) as Float32Array).map((value) => Math.round(value * 16) / 16);
    const exchanged = decoder(spec);
    const rewriter = new Rewriter(exchanged.model);
    for (const { id, k, n, weight } of exchanged.analysis.projections) {
      rewriter.setTensor(weight.source, tensorOf('float32', [k, n], rounded(exchanged)(id)));
    }
    const expected = await run(exchanged, small);
    const made = decoder(spec);
    const runner = open(made);
    const transposed = (w: Float32Array, k: number, n: number): Float32Array =>
      Float32Array.from({ length: k * n }, (_, at) => w[(at % k) * n + Math.floor(at / k)] ?? 0);
    const override: Override = ({ id, k, n }) => transposed(rounded(made)(id), k, n);
    const [student, reference] = [runner.stream(), runner.stream()];
    const rows = new Map<string, Float32Array[]>([
      ['float', []],
      ['student', []],
    ]);
    for (const segment of runner.segments) {
      const down = runner.groupsIn(segment).find(({ id }) => id === 'layers.1.down-in');
      const extra = down === undefined ? [] : [down.input];
      const take = (which: string) => (_: unknown, values: ReadonlyMap<Value, HostTensor>) => {
        for (const { data } of values.values()) rows.get(which)?.push(data as Float32Array);
      };
      if (down) await runner.run(reference, { advance: false, extra, onBatch: take('float') });
      const found = await runner.run(student, { override, reference, extra, onBatch: take('student') });
      for (const statistics of found) {
        const wanted = await expected.load(statistics.group);
        expect(distance(wanted.gram, statistics.gram)).toBeLessThan(1e-6);
        if (statistics.group !== 'layers.1.down-in') continue;
        expect(distance(changeOf(rows, statistics.k), statistics.change as Float64Array)).toBeLessThan(1e-6);
      }
    }
    expect(rows.get('student')).toHaveLength(4);
    runner.close();
  });

  it('hands out values batch by batch', async () => {
    const runner = open(decoder(spec));
    const stream = runner.stream();
    const [first] = runner.segments;
    const seen: (readonly number[])[] = [];
    await runner.run(stream, {
      extra: first?.liveOut ?? [],
      onBatch: ({ index }, extra) => seen.push([index, ...([...extra.values()][0]?.dims ?? [])]),
    });
    expect(seen).toEqual([
      [0, 2, 5, 16],
      [1, 2, 9, 16],
      [2, 1, 9, 16],
      [3, 1, 7, 16],
    ]);
    runner.close();
  });
});
