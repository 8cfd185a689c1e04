/** Nested embedding and head: what ONNX Runtime reads of their planes against plain arithmetic, whole, cut, in parts and packed. */
import { copyFileSync, mkdirSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { analyse } from '../../src/analysis/projections.js';
import { abstractProjections, abstractRows, collapseProjections } from '../../src/emit/sites.js';
import { importModel } from '../../src/onnx/convert/import.js';
import type { DType } from '../../src/onnx/ir/dtype.js';
import { float16ToFloat32, float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { tensorOf } from '../../src/onnx/ir/tensor.js';
import { verify } from '../../src/onnx/ir/verify.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { bytesNeeded, type LayoutOptions, type PlannedTable, planSet, siteOf } from '../../src/quant/layout.js';
import { prefixRead } from '../../src/quant/layout-use.js';
import type { Precision } from '../../src/quant/precision.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, type OpenOptions, type Outputs } from '../../src/runtime/runtime.js';
import { restOf } from '../../src/set/set-graph.js';
import { dataName, idOf } from '../../src/set/set-identity.js';
import { writeModel } from '../../src/set/set-output.js';
import { SetWriter } from '../../src/set/set-writer.js';
import { placedTables, withTables } from '../../src/set/token-tables.js';
import type { Nested } from '../../src/solve/kernel/options.js';
import type { NestedTable } from '../../src/solve/solve-nested-tables.js';
import { tokenTablesOf } from '../../src/source/token-tables.js';
import { decodedWeights, multiply, randomParts, type SetOnDisk, writeGraph } from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';
import { BLOCK, COLS, IDS, ROWS, sample, TIES, type Tie } from '../support/table-model.js';

const BITS: readonly Precision[] = [2, 3, 4, 8];
const base: LayoutOptions = { bits: BITS, block: BLOCK, decode: 'ab', tables: 'c8' };
const READS = { 2: 3, 3: 3, 4: 4, 8: 7 } as const;
const FREQUENT = { 2: 4, 3: 4, 4: 4, 8: 8 } as const;

let root: string;
let count = 0;
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

interface Made {
  readonly folder: string;
  readonly set: SetOnDisk;
  readonly tables: ReturnType<typeof placedTables>;
  /** Ŵ [rows, cols] of the table that a place of the model reads, in the order of ids. */
  weights(of: 'rows' | 'logits', bits: Precision): Float32Array;
}

interface Asked {
  readonly options?: LayoutOptions;
  readonly dtype?: DType;
  /** Rows in parts, the first of frequent ids, in another order than ids. */
  readonly isCut?: boolean;
}

/** The row of each id where rows are in another order. */
const ROW_OF = Int32Array.from({ length: ROWS }, (_, id) => (id * 5 + 3) % ROWS);

function made(tie: Tie, { options = base, dtype = 'float32', isCut = false }: Asked = {}): Made {
  const folder = join(root, String(count++));
  mkdirSync(folder);
  const model = sample(tie, dtype);
  const found = tokenTablesOf(analyse(model));
  const rw = new Rewriter(model);
  const order = isCut ? rw.initializer(model.graph, 'order', tensorOf('int32', [ROWS], ROW_OF)) : undefined;
  for (const { name, embedding, head } of found) {
    if (head !== undefined) abstractProjections(rw, [{ id: name, sites: head.sites }], order);
    if (embedding !== undefined) abstractRows(rw, name, embedding, order);
  }
  const planned = found.flatMap(({ name }) => plansOf(name, isCut));
  const rest = restOf(model);
  const layout = planSet(
    [],
    rest.map(({ byteLength }) => byteLength),
    options,
    planned,
  );
  const solved = new Map<string, Nested>();
  const nested = (layout.tokenTables ?? []).map((place, at): NestedTable => {
    const { codes, ...own } = randomParts(place, { ...options, bits: place.chain }, 10 * at + 5);
    solved.set(place.id, { codes, ...own });
    return { id: place.id, codes: tensorOf('uint8', [place.n, place.k], codes), nested: own, reports: [] };
  });
  const tables = placedTables(layout, nested);
  const typed = { ...layout, tokenTables: tables.map(({ place }) => place) };
  const writer = new SetWriter(join(folder, 'staged'), typed);
  rest.forEach((tensor, index) => writer.writeRest(index, tensor));
  for (const table of tables) writer.writeTable(table);
  const written = writer.finish();
  const dataPath = join(folder, dataName('model', idOf(written)));
  renameSync(join(folder, 'staged'), dataPath);
  const weights: Made['weights'] = (of, bits) => {
    const name = of === 'rows' ? found[0]?.name : found.at(-1)?.name;
    const parts = typed.tokenTables.filter((place) => siteOf(place) === name);
    const stored = parts.map((place) => decodedWeights(solved.get(place.id) as Nested, place, typed, bits));
    const whole = Float32Array.from(stored.flatMap((part) => [...part]));
    if (!isCut) return whole;
    return Float32Array.from(
      whole,
      (_, at) => whole[(ROW_OF[Math.floor(at / COLS)] as number) * COLS + (at % COLS)] ?? 0,
    );
  };
  return { folder, set: { plan: { model, rest, layout: typed }, written, solved, dataPath }, tables, weights };
}

function plansOf(name: string, isCut: boolean): readonly PlannedTable[] {
  const shared = { layer: -1, role: 'tied', k: COLS, block: BLOCK } as const;
  const rare: readonly Precision[] = [3, 4, 7];
  if (!isCut) return [{ ...shared, id: name, n: ROWS, chain: rare, reads: READS }];
  const part = { ...shared, table: name };
  return [
    { ...part, id: `${name}.0`, n: 16, chain: [4, 8], reads: FREQUENT },
    { ...part, id: `${name}.1`, n: 32, chain: rare, reads: READS },
  ];
}

async function run(path: string, optimization: NonNullable<OpenOptions['optimization']> = 'all'): Promise<Outputs> {
  const session = await ortRuntime.open(path, { threads: 1, optimization });
  const flag: HostTensor = { dtype: 'bool', dims: [], data: Uint8Array.of(1) };
  const outputs = await session.run({ ids: integers([...IDS]), ...(session.inputs.length > 1 && { flag }) });
  await session.close();
  return outputs;
}

const numbers = (tensor: HostTensor | undefined): Float32Array =>
  tensor?.data instanceof Uint16Array ? float16ToFloat32(tensor.data) : (tensor?.data as Float32Array);

/** Rows to rounding of one product and sum, logits to rounding of their sums. */
function expectRead(outputs: Outputs, { weights }: Made, bits: Precision): void {
  const table = weights('rows', bits);
  const wanted = Float32Array.from(IDS.flatMap((id) => [...table.subarray(id * COLS, (id + 1) * COLS)]));
  const rows = numbers(outputs['rows']);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  for (const [at, value] of wanted.entries())
    expect(Math.abs((rows[at] as number) - value)).toBeLessThan(1e-6 * largest);
  const { y, size } = multiply(
    rows.map((value) => Math.max(0, value)),
    weights('logits', bits),
    COLS,
    ROWS,
  );
  const logits = numbers(outputs['logits']);
  for (const [at, value] of y.entries()) expect(Math.abs((logits[at] as number) - value)).toBeLessThan(2e-6 * size);
}

const unread = (): never => {
  throw new Error('read from the file');
};

describe('token tables', () => {
  it.each(TIES.flatMap((tie) => [false, true].map((isCut) => [tie, isCut] as const)))(
    '%s, in parts %p: rows and logits of every precision are those of the stored codes',
    async (tie, isCut) => {
      const one = made(tie, { isCut });
      for (const bits of BITS) expectRead(await run(writeGraph(one.folder, one.set, bits)), one, bits);
    },
  );

  it.each([
    ['ab', 'fp16'],
    ['mid', 'c8'],
    ['signed', 'c8'],
    ['tied', 'fp16'],
  ] as const)('decodes %s tables stored as %s', async (decode, tables) => {
    const one = made('tied', { options: { ...base, decode, tables } });
    for (const bits of [2, 8] as const) expectRead(await run(writeGraph(one.folder, one.set, bits)), one, bits);
  });

  it.each(['tied', 'untied'] as const)('%s: gives the same numbers at every level of optimization', async (tie) => {
    const one = made(tie, { isCut: true });
    const path = writeGraph(one.folder, one.set, 4);
    for (const level of ['disabled', 'basic', 'extended'] as const) expectRead(await run(path, level), one, 4);
  });

  it('gives rows of float16 graphs in float16', async () => {
    const one = made('tied', { dtype: 'float16' });
    const { rows } = await run(writeGraph(one.folder, one.set, 4));
    const table = one.weights('rows', 4);
    const wanted = IDS.flatMap((id) => [...table.subarray(id * COLS, (id + 1) * COLS)]);
    const half = float16ToFloat32(float32ToFloat16(Float32Array.from(wanted)));
    const got = numbers(rows);
    expect(rows?.dtype).toBe('float16');
    for (const [at, value] of half.entries()) expect(Math.abs((got[at] as number) - value)).toBeLessThan(1e-3);
  });

  it('reads a prefix of the data: a cut file gives the same bits', async () => {
    const one = made('tied', { isCut: true });
    const { layout } = one.set.written;
    const whole = await run(writeGraph(one.folder, one.set, 2));
    const cut = join(one.folder, 'cut');
    mkdirSync(cut);
    const data = join(cut, basename(one.set.dataPath));
    copyFileSync(one.set.dataPath, data);
    truncateSync(data, bytesNeeded(layout, 2));
    copyFileSync(join(one.folder, 'model_int2.onnx'), join(cut, 'model_int2.onnx'));
    expect(await run(join(cut, 'model_int2.onnx'))).toEqual(whole);
    const ends = BITS.map((bits) => prefixRead(layout, () => bits));
    expect(ends).toEqual(ends.toSorted((a, b) => a - b));
    for (const [at, bits] of BITS.entries()) expect(ends[at]).toBeLessThanOrEqual(bytesNeeded(layout, bits));
    expect(ends[0]).toBeLessThan(ends[3] as number);
  });

  it.each([false, true])('is packed into a self-contained model with the same bits, in parts %p', async (isCut) => {
    for (const tie of ['tied', 'untied'] as const) {
      const one = made(tie, { isCut });
      const nested = writeGraph(one.folder, one.set, 4);
      const nobody = { layout: one.set.written.layout, tensor: unread };
      const reader = withTables(nobody, one.tables);
      const output = join(one.folder, 'packed.onnx');
      const selection = { name: 'int4', bits: 4, bitsOf: () => 4 } as const;
      writeModel({ template: one.set.plan.model, reader, accuracyLevel: 0 }, selection, output);
      expect(await run(output)).toEqual(await run(nested));
    }
  });

  it('turns back into the template that it was filled from', async () => {
    const one = made('tied', { isCut: true });
    const path = writeGraph(one.folder, one.set, 8);
    const model = importModel(path);
    expect(verify(model)).toEqual([]);
    expect(collapseProjections(new Rewriter(model))).toBe(2);
    const again = { ...one, set: { ...one.set, plan: { ...one.set.plan, model } } };
    expectRead(await run(writeGraph(one.folder, again.set, 3)), one, 3);
  });
});
