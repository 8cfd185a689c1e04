/** Manifests that are sliced and statistics that are compiled from: the result is that of the sound files, or a refusal. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Files, writeIds, writeTiny } from './bases.js';
import type { Kind } from './kinds.js';
import { mutateBytes, pick } from './mutate-bytes.js';
import { mutateJson } from './mutate-json.js';
import type { Library } from './target.js';

const machine = { threads: 1, memoryBytes: 2 ** 31, seed: 0 } as const;
const whole = { ...machine, standalone: false, strict: false } as const;

function filesIn(folder: string): Files {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}

/** Digest of the files of a folder whose names match. */
export function digestOf(folder: string, names: RegExp): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder)
    .filter((each) => names.test(each))
    .sort())
    hash.update(readFileSync(join(folder, name)));
  return hash.digest('hex');
}

/** Weights of a self-contained int4 model cut from the set. */
async function sliced({ slice, silentContext }: Library, folder: string, output: string): Promise<string> {
  const file = join(output, 'q.onnx');
  const asked = { set: join(folder, 'model.json'), bits: 4, output: file, standalone: true, slice: 'prefix' } as const;
  await slice(asked, silentContext());
  return digestOf(output, /data$/);
}

/** Mutated manifests are sliced. */
export const manifests: Kind = async (library, scratch) => {
  const { compile, parseRecipe, silentContext } = library;
  const set = join(scratch, 'set');
  const recipe = parseRecipe({ method: 'rtn', bits: [8, 4, 2] }, 'fuzz');
  await compile({ model: writeTiny(join(scratch, 'model')), output: set, recipe, ...whole }, silentContext());
  const files = filesIn(set);
  const expected = await sliced(library, set, join(scratch, 'sliced'));
  return {
    bases: { set: files },
    mutate: (random) => {
      const { note, bytes } = mutateJson(files['model.json'] as Uint8Array, random);
      return { base: 'set', note, files: { 'model.json': bytes } };
    },
    run: async (folder, output) => {
      const got = await sliced(library, folder, output);
      return got === expected ? {} : { wrong: 'other weights than those of the sound manifest' };
    },
  };
};

/** Mutated statistics are compiled from. */
export const statistics: Kind = async ({ captureStatistics, compile, parseRecipe, silentContext }, scratch) => {
  const model = writeTiny(join(scratch, 'model'));
  const recipe = parseRecipe({ method: 'best', bits: [8, 2], rounds: 0, sweeps: 0, range: 'minmax' }, 'fuzz');
  const text = { ids: writeIds(join(scratch, 'ids.jsonl'), 8) };
  const sound = join(scratch, 'statistics');
  await captureStatistics({ model, output: sound, recipe, text, ...machine }, silentContext());
  const compiled = async (folder: string, output: string): Promise<string> => {
    const set = join(output, 'set');
    await compile({ model, output: set, recipe, statistics: [folder], ...whole }, silentContext());
    return digestOf(set, /\.data$/);
  };
  const expected = await compiled(sound, scratch);
  const files = filesIn(sound);
  return {
    bases: { statistics: files },
    mutate: (random) => {
      const name = pick(Object.keys(files), random);
      const change = name.endsWith('.json') ? mutateJson : mutateBytes;
      const { note, bytes } = change(files[name] as Uint8Array, random);
      return { base: 'statistics', note: `${name.split('.').at(-1)} ${note}`, files: { [name]: bytes } };
    },
    run: async (folder, output) => {
      const got = await compiled(folder, output);
      return got === expected ? {} : { wrong: 'other weights than those of the sound statistics' };
    },
  };
};
