import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { reportCommand } from '../../src/cli/commands/report.js';
import { silentContext } from '../../src/log.js';
import { sensitivityPath, writeSensitivity } from '../../src/mix/sensitivity-file.js';
import type { CompiledFacts, ReportData } from '../../src/report/page/data.js';
import { type ReportOptions, report } from '../../src/report/report.js';
import { writeCompiled } from '../../src/set/facts.js';
import { digestOfSet } from '../../src/set/set-identity.js';
import { openSet, type SetManifest, writeManifest } from '../../src/set/set-manifest.js';
import { runHere } from '../support/command-line.js';
import { SmallSet } from '../support/nested.js';

let small: SmallSet;
let root: string;
beforeAll(() => {
  small = new SmallSet();
  ({ root } = small);
});
afterAll(() => small.close());

let folder: string;
beforeEach(() => {
  folder = small.copy();
});

const run = (options: Partial<ReportOptions> = {}) => report({ folder, ...options }, silentContext());
const dataOf = (path: string): ReportData => JSON.parse(readFileSync(path, 'utf8')) as ReportData;

function edit(change: (manifest: SetManifest) => Partial<SetManifest>): void {
  const { manifest, path } = openSet(join(folder, 'model.json'));
  writeManifest(path, { ...manifest, ...change(manifest) });
}

function saveFacts(ids: readonly string[]): void {
  writeCompiled(join(folder, 'model.report.json'), facts(ids), openSet(join(folder, 'model.json')).manifest);
}

/** Codes 0…255 once each, moved up by 32. */
const codes = Array.from({ length: 256 }, (_, code) => (code < 32 ? 0 : 1));

function facts(ids: readonly string[]): CompiledFacts {
  return {
    sourceBytes: 1e6,
    calibrationTokens: 10,
    refused: [{ at: 'head', code: 'lm-head', reason: 'the head' }],
    projections: ids.map((id) => ({
      id,
      layer: 0,
      role: 'up',
      k: 64,
      n: 24,
      error: { int2: { before: 0.2, after: 0.1 } },
      codes,
    })),
    tables: [],
  };
}

const ids = (): readonly string[] =>
  openSet(join(folder, 'model.json')).manifest.layout.projections.map(({ id }) => id);

function saved(name: string, file = 'model_int4.onnx'): string {
  const score = { nll: 3.5, positions: 100, fileBytes: 5000, downloadBytes: 4000, tokensPerSecond: 0 };
  const path = join(folder, name);
  const candidate = { ...score, path: join('somewhere', file), kl: 0.25, top1: 0.5, extra: 'field' };
  writeFileSync(
    path,
    JSON.stringify({ reference: { ...score, nll: 3, path: '/elsewhere/model.onnx' }, candidates: [candidate] }),
  );
  return path;
}

describe('report', () => {
  it('writes a page and its data beside the set, and says what is missing', async () => {
    const result = await run();
    expect(result.path).toBe(join(folder, 'model.report.html'));
    expect(result.json.path).toBe(join(folder, 'model.report.json'));
    expect(readFileSync(result.path, 'utf8')).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(readFileSync(result.path).byteLength).toBe(result.bytes);
    expect(result.notes.map((note) => note.split(':')[0])).toEqual([
      'what was refused, errors per layer and codes',
      'quality on a text of your own',
      'mixes and what each layer costs',
      'times and memory',
    ]);
    const data = dataOf(result.json.path);
    const { manifest } = openSet(join(folder, 'model.json'));
    expect(data.models.map(({ name, bits, dataBytes }) => [name, bits, dataBytes])).toEqual(
      manifest.graphs.map(({ name, bits, bytesNeeded }) => [name, bits, bytesNeeded]),
    );
    expect(data.models.every(({ graphBytes, restBytes, dataBytes }) => graphBytes > 0 && restBytes < dataBytes)).toBe(
      true,
    );
    expect(data.histograms).toEqual([]);
  });

  it('writes the same bytes again, and keeps what compile wrote', async () => {
    saveFacts(ids());
    const first = await run();
    const [page, json] = [readFileSync(first.path), readFileSync(first.json.path)];
    expect(dataOf(first.json.path).compiled).toEqual(facts(ids()));
    const second = await run();
    expect(readFileSync(second.path).equals(page)).toBe(true);
    expect(readFileSync(second.json.path).equals(json)).toBe(true);
  });

  it('counts the leading bits of the codes', async () => {
    saveFacts(ids());
    const { histograms } = dataOf((await run()).json.path);
    const many = ids().length;
    expect(histograms.map(({ name, counts }) => [name, counts.length])).toEqual([
      ['int2', 4],
      ['int4', 16],
      ['int8', 256],
    ]);
    expect(histograms[0]?.counts).toEqual([32, 64, 64, 64].map((each) => each * many));
    // (0·32 + 64·(1 + 2 + 3)) / 224 / 3
    expect(histograms[0]?.meanLevel).toBeCloseTo(0.5714286, 6);
  });

  it('reads the probe of the manifest and results of eval, those of the folder by themselves', async () => {
    edit(() => ({ quality: { int2: { kl: 0.3, top1: 0.6, deltaNll: 0.1, positions: 126 } } }));
    saved('b.eval.json');
    saved('a.eval.json', 'other.onnx');
    const named = saved('held.json');
    const { evaluations } = dataOf((await run({ evaluations: [named, join(folder, 'b.eval.json')] })).json.path);
    expect(evaluations.map(({ name, probe }) => [name, probe])).toEqual([
      ['probe', 'text'],
      ['a', undefined],
      ['b', undefined],
      ['held', undefined],
    ]);
    const graph = dataOf(join(folder, 'model.report.json')).models.find(({ name }) => name === 'int4');
    expect(evaluations[2]).toEqual({
      name: 'b',
      positions: 100,
      reference: { name: 'model.onnx', nll: 3, bytes: 4000 },
      scores: [
        {
          name: 'int4',
          bytes: (graph?.graphBytes ?? 0) + (graph?.dataBytes ?? 0),
          kl: 0.25,
          top1: 0.5,
          nll: 3.5,
          deltaNll: 0.5,
        },
      ],
    });
    expect(evaluations[1]?.scores[0]).toMatchObject({ name: 'other.onnx', bytes: 4000 });
  });

  it('reads times from the saved result of compile', async () => {
    writeFileSync(join(folder, 'model.compile.json'), JSON.stringify({ seconds: 3, stages: { solve: 3 }, other: 1 }));
    expect(dataOf((await run()).json.path).run).toEqual({ seconds: 3, stages: { solve: 3 } });
  });

  it('averages the bits of a mix by layer', async () => {
    const [first] = ids();
    edit(({ graphs }) => ({
      graphs: [
        ...graphs,
        {
          file: 'mix.onnx',
          name: 'mix',
          bits: Object.fromEntries(ids().map((id) => [id, 4])),
          bytesNeeded: 0,
          sha256: '0'.repeat(64),
        },
      ],
    }));
    const result = await run();
    const mix = dataOf(result.json.path).models.find(({ name }) => name === 'mix');
    expect(first).toBeDefined();
    expect(mix?.averageBits).toBe(4);
    expect(mix?.layers.map(({ bits }) => bits)).toEqual(mix?.layers.map(() => 4));
    expect(result.notes[0]).toContain('mix.onnx is not in the folder');
    expect(readFileSync(result.path, 'utf8')).toContain('mix: bits per projection');
  });

  it('never writes over the manifest', async () => {
    const before = readFileSync(join(folder, 'model.json'));
    const result = await run({ output: join(folder, 'model.html') });
    expect(result.json.path).toBe(join(folder, 'model.report.json'));
    expect(readFileSync(join(folder, 'model.json')).equals(before)).toBe(true);
    await expect(run({ output: join(folder, 'model.json') })).rejects.toMatchObject({ code: 'bad-usage' });
  });

  it('takes the .json of one of several sets', async () => {
    copyFileSync(join(folder, 'model.json'), join(folder, 'other.json'));
    await expect(run()).rejects.toMatchObject({ code: 'bad-usage' });
    const result = await run({ folder: join(folder, 'other.json') });
    expect(result.path).toBe(join(folder, 'other.report.html'));
  });

  it('refuses folders without a set and results that are none', async () => {
    await expect(run({ folder: join(folder, 'nowhere') })).rejects.toMatchObject({ code: 'file-missing' });
    await expect(run({ folder: root })).rejects.toMatchObject({ code: 'not-a-set' });
    await expect(run({ evaluations: ['nowhere.json'] })).rejects.toMatchObject({ code: 'file-missing' });
    writeFileSync(join(folder, 'bad.eval.json'), '{"reference":{}}');
    await expect(run()).rejects.toMatchObject({ code: 'report-input', at: join(folder, 'bad.eval.json') });
    writeFileSync(join(folder, 'bad.eval.json'), '{');
    await expect(run()).rejects.toMatchObject({ code: 'report-input' });
    rmSync(join(folder, 'bad.eval.json'));
    saveFacts(['another']);
    await expect(run()).rejects.toMatchObject({ code: 'report-input' });
    expect(readdirSync(folder).filter((name) => name.endsWith('.html'))).toEqual([]);
  });

  it('reads answers to questions, alone or beside scores', async () => {
    const answer = { task: 'copa', path: 'x/model_int4.onnx', items: 10, accuracy: 0.7, accuracyStandardError: 0.15 };
    const rest = { normalizedAccuracy: 0.6, normalizedAccuracyStandardError: 0.16, agreement: 0.9 };
    writeFileSync(join(folder, 'alone.eval.json'), JSON.stringify({ tasks: [{ ...answer, ...rest, choices: [1] }] }));
    saved('scores.eval.json');
    const { evaluations, tasks } = dataOf((await run()).json.path);
    expect(evaluations.map(({ name }) => name)).toEqual(['scores']);
    const { path: _, ...row } = answer;
    expect(tasks).toEqual([{ name: 'alone', rows: [{ ...row, ...rest, model: 'int4' }] }]);
  });

  it('reads sweeps and sensitivities of this set only', async () => {
    const set = openSet(join(folder, 'model.json'));
    const point = { name: 'dp 3', kind: 'search', averageBits: 3, storedBitsPerWeight: 3.5, bytes: 1000, kl: 0.2 };
    const more = { klStandardError: 0.01, deltaNll: 0.1, evaluations: 0, seconds: 1 };
    const file = { format: 'matquant-sweep', version: 1, per: 'layer', reference: 'parent', positions: 9 };
    const write = (digest: string): void =>
      writeFileSync(
        join(folder, 'model.sweep.json'),
        JSON.stringify({ ...file, set: digest, points: [{ ...point, ...more, bits: {} }] }),
      );
    write(digestOfSet(set.manifest));
    const [id = ''] = ids();
    const entry = { bits: 2, positions: 9, text: 't', reference: 'parent' };
    writeSensitivity(sensitivityPath(set), set.manifest, [
      { ...entry, unit: id, kl: 0.3 },
      { ...entry, unit: 'layers.0', kl: 0.5 },
      { ...entry, unit: '*', bits: 8, kl: 0.1 },
      { ...entry, unit: 'layers.9', kl: 0.5 },
    ]);
    const { sweeps, sensitivities, notes } = dataOf((await run()).json.path);
    expect(sweeps).toEqual([
      { name: 'model', per: 'layer', reference: 'parent', positions: 9, points: [{ ...point, ...more }] },
    ]);
    expect(sensitivities.map(({ unit, kl, role }) => [unit, kl.toFixed(1), role !== undefined])).toEqual([
      [id, '0.2', true],
      ['layers.0', '0.4', false],
    ]);
    expect(notes.some((note) => note.startsWith('mixes'))).toBe(false);
    write('another');
    await expect(run()).rejects.toMatchObject({ code: 'report-input', at: 'model.sweep.json' });
  });

  it('is a verb', async () => {
    const named = saved('held.json');
    const ran = await runHere(['report', folder, '--eval', named, '--json'], [reportCommand]);
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({ path: join(folder, 'model.report.html') });
  });
});
