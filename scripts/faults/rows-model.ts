/** Models that people have: each compiles to what it computes, or is refused with the reason before anything costly. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ModelProto, NodeProto, TensorProto } from '../../src/onnx/proto/messages.js';
import { decode, encode, long, MODEL } from '../../src/onnx/proto/messages.js';
import { compareLogits } from '../fuzz/compare-logits.js';
import { changed } from '../fuzz/mutate-weights.js';
import { type Bench, compileFlags } from './bench.js';
import { digests, isSame } from './folders.js';
import { all, fault, mustRefuse, RIGHT, type Row, refused, sayOf, silent, type Try, type Verdict } from './verdict.js';

interface Parts {
  readonly model: ModelProto;
  readonly nodes: NodeProto[];
  readonly weights: readonly TensorProto[];
  readonly data: Uint8Array;
}

/** Writes a changed copy of the model into `folder`/model and gives its path. */
function edited(bench: Bench, folder: string, change: (parts: Parts) => void): string {
  const data = Uint8Array.from(readFileSync(`${bench.model}.data`));
  const model = decode(MODEL, readFileSync(bench.model)) as ModelProto;
  const nodes = model.graph?.node ?? [];
  change({ model, nodes, weights: model.graph?.initializer ?? [], data });
  mkdirSync(join(folder, 'model'), { recursive: true });
  writeFileSync(join(folder, 'model/model.onnx.data'), data);
  writeFileSync(join(folder, 'model/model.onnx'), encode(MODEL, model));
  return join(folder, 'model/model.onnx');
}

const compileOf = (bench: Bench, model: string, folder: string, flags: readonly string[] = []): readonly string[] => [
  ...['compile', model, '-o', join(folder, 'set'), ...compileFlags(bench.ids), ...flags],
];

/** The compiled int8 model computes what the source does; a refusal with a code is right where `mayRefuse`. */
async function computes(bench: Bench, model: string, folder: string, mayRefuse: boolean): Promise<Verdict> {
  const ran = await bench.run(compileOf(bench, model, folder), { temporary: join(folder, 'temporary') });
  if (refused(ran)) return mayRefuse ? RIGHT : fault(sayOf(ran));
  if (ran.code !== 0) return fault(sayOf(ran));
  const { wrong } = await compareLogits(model, join(folder, 'set/model_int8.onnx'), [], 32);
  return wrong === undefined ? RIGHT : silent(wrong);
}

const weightOf = (weights: readonly TensorProto[], part: string): TensorProto => {
  const found = weights.find(({ name }) => name?.includes(part));
  if (found === undefined) throw new RangeError(`the model has no weight ${part}`);
  return found;
};

/** A try that changes the model and compiles it. */
const withModel =
  (name: string, mayRefuse: boolean, change: (parts: Parts) => void): ((bench: Bench) => Try) =>
  (bench) => ({
    name,
    run: (folder) => computes(bench, edited(bench, folder, change), folder, mayRefuse),
  });

const damagedWeight =
  (value: number, index: number) =>
  (parts: Parts): void =>
    changed(weightOf(parts.weights, 'down_proj'), parts.data, (values) => {
      values[index] = value;
    });

/** Weights that are no numbers: refused with the code for it, before text is run. */
const notFinite =
  (name: string, value: number): ((bench: Bench) => Try) =>
  (bench) => ({
    name,
    run: async (folder) => {
      const model = edited(bench, folder, damagedWeight(value, 777));
      const ran = await bench.run(compileOf(bench, model, folder), { temporary: join(folder, 'temporary') });
      if (ran.code === 0) return silent('exit code 0');
      return ran.stderr.includes('[not-finite]') ? RIGHT : fault(sayOf(ran));
    },
  });

/** One projection beyond float16: the others are quantized, and --strict refuses. */
const beyondHalf = (bench: Bench): Try => ({
  name: 'one projection beyond the range of float16',
  run: async (folder) => {
    const model = edited(bench, folder, ({ weights, data }) =>
      changed(weightOf(weights, 'layers.0.mlp.down_proj'), data, (values) => {
        for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) * 3e9;
      }),
    );
    const verdict = await computes(bench, model, folder, false);
    const strict = await bench.run(compileOf(bench, model, join(folder, 'strict'), ['--strict']), {
      temporary: join(folder, 'temporary'),
    });
    return all(verdict, mustRefuse(strict));
  },
});

/** The layout of a hub's cache: model and data are links to blobs of other names. */
const hubCache = (bench: Bench): Try => ({
  name: 'links of a hub cache',
  run: async (folder) => {
    const [blobs, snapshot] = [join(folder, 'hub/blobs'), join(folder, 'hub/snapshots/abc')];
    for (const each of [blobs, snapshot]) mkdirSync(each, { recursive: true });
    for (const name of ['model.onnx', 'model.onnx.data']) {
      cpSync(join(dirname(bench.model), name), join(blobs, `blob-of-${name.length}`));
      symlinkSync(`../../blobs/blob-of-${name.length}`, join(snapshot, name));
    }
    const ran = await bench.run(compileOf(bench, join(snapshot, 'model.onnx'), folder), {
      temporary: join(folder, 'temporary'),
    });
    if (ran.code !== 0) return fault(sayOf(ran));
    return isSame(digests(join(folder, 'set')), bench.digests) ? RIGHT : silent('another set than that of plain files');
  },
});

const tries: readonly ((bench: Bench) => Try)[] = [
  withModel('a domain that is not imported', true, ({ nodes }) => {
    (nodes.find(({ opType }) => opType === 'GroupQueryAttention') as NodeProto).domain = 'not.imported';
  }),
  withModel('a domain imported twice over, one of them unused', false, ({ model }) => {
    model.opsetImport = [...(model.opsetImport ?? []), { domain: 'custom', version: long(1) }];
  }),
  withModel('IR version 13', false, ({ model }) => {
    model.irVersion = long(13);
  }),
  withModel('IR version 99', false, ({ model }) => {
    model.irVersion = long(99);
  }),
  withModel('IR version 7', false, ({ model }) => {
    model.irVersion = long(7);
  }),
  withModel('weights that are also inputs', true, ({ model, weights }) => {
    const { name, dims = [] } = weightOf(weights, 'down_proj');
    const shape = { dim: dims.map((dimValue) => ({ dimValue })) };
    model.graph?.input?.push({ name: name as string, type: { tensorType: { elemType: 1, shape } } });
  }),
  withModel('a call of a local function', true, ({ model, nodes }) => {
    model.opsetImport = [...(model.opsetImport ?? []), { domain: 'local', version: long(1) }];
    const node = nodes.find(({ opType }) => opType === 'Mul') as NodeProto;
    node.domain = 'local';
  }),
  notFinite('a weight that is NaN', Number.NaN),
  notFinite('a weight that is infinite', Number.NEGATIVE_INFINITY),
  beyondHalf,
  hubCache,
];

const models: Row = {
  group: 'model',
  name: 'models that differ from what exporters usually write',
  tries: (bench) =>
    (bench.short ? [tries[0], tries[2], tries[7]] : tries).map((make) => (make as (bench: Bench) => Try)(bench)),
};

export const modelRows: readonly Row[] = [models];
