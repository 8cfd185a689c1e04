/** A model in a cache of the Hugging Face hub: model and data are links into one folder of blobs. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { slice } from '../../src/set/slice.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const context = silentContext();

/** Moves files of a folder into `blobs` and puts links in a snapshot in their place. */
function intoCache(folder: string, names: readonly string[], cache: string): string {
  const [blobs, snapshot] = [join(cache, 'blobs'), join(cache, 'snapshots/0123/onnx')];
  mkdirSync(blobs, { recursive: true });
  mkdirSync(snapshot, { recursive: true });
  names.forEach((name, at) => {
    renameSync(join(folder, name), join(blobs, `blob-${at}`));
    symlinkSync(`../../../blobs/blob-${at}`, join(snapshot, name));
  });
  return snapshot;
}

it('is compiled and scored, and so is a set that lies in one', async () => {
  writeToy(root, 'model', toyModel());
  const model = join(intoCache(root, ['model.onnx', 'model.onnx.data'], join(root, 'source')), 'model.onnx');
  const ids = join(root, 'ids.jsonl');
  writeFileSync(ids, '[1, 2, 3, 4, 5, 6, 7, 8]\n');
  const recipe = parseRecipe({ method: 'best', block: 32, bits: [8, 4] }, 'test');
  const output = join(root, 'set');
  const { precisions } = await compile({ ...COMPILE, model, output, recipe, text: { ids } }, context);
  expect(precisions[1]?.probe?.kl).toBeLessThan(0.1);

  const files = ['m.json', basename(dataIn(output)), 'm_int8.onnx', 'm_int4.onnx'];
  const set = intoCache(output, files, join(root, 'published'));
  const cut = join(root, 'cut.onnx');
  await slice({ set: join(set, 'm.json'), bits: 8, output: cut, standalone: true, slice: 'prefix' }, context);
  const candidates = [join(set, 'm_int8.onnx'), cut];
  const scored = await evaluate(
    { reference: model, candidates, text: { ids }, window: 8, threads: 1, speed: false },
    context,
  );
  expect(scored.candidates.map(({ kl }) => kl < 0.1)).toEqual([true, true]);
});
