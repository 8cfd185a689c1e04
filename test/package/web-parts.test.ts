/** Graphs beside a decoder: which files belong to them, and where a package has them. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { exportModel } from '../../src/onnx/convert/export.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { packageSourceOf } from '../../src/package/package-source.js';
import { copyParts, partPaths } from '../../src/package/web-parts.js';
import { temporaryFolder } from '../support/paths.js';
import { toyWeight } from '../support/toy.js';

const NAME = 'embed_tokens.data';

/** A folder with an embedding whose graph says that its data is at `location`, which is as long as NAME. */
function folderWith(location: string): string {
  const folder = temporaryFolder();
  const b = new GraphBuilder({ opset: 18 });
  const ids = b.input('input_ids', 'int64', [1, 4]);
  b.output(b.op('Gather', [b.constant(toyWeight(8, 4, 1), 'table'), ids]), 'inputs_embeds');
  const graph = join(folder, 'embed_tokens.onnx');
  exportModel(b.model(), graph, { dataFile: NAME, externalThreshold: 0 });
  writeFileSync(graph, Buffer.from(readFileSync(graph, 'latin1').replaceAll(NAME, location), 'latin1'));
  return folder;
}

const sourceOf = (folder: string) =>
  packageSourceOf({
    name: 'm',
    folder,
    graph: join(folder, 'decoder_model_merged.onnx'),
    configs: {},
    notices: [],
    parts: [join(folder, 'embed_tokens.onnx')],
  });

it('keeps data files where the graph looks for them', () => {
  const folder = folderWith('data/embed_tokens');
  mkdirSync(join(folder, 'data'));
  renameSync(join(folder, NAME), join(folder, 'data/embed_tokens'));
  const { parts } = sourceOf(folder);
  expect(partPaths(parts)).toEqual([join('onnx', 'embed_tokens.onnx'), join('onnx', 'data/embed_tokens')]);
  const output = temporaryFolder();
  copyParts(output, parts);
  expect(readFileSync(join(output, 'onnx/data/embed_tokens'))).toEqual(readFileSync(join(folder, 'data/embed_tokens')));
});

it.each([
  ['../embed_tokens.x', 'external-path'],
  ['data/embed.absent', 'external-missing'],
])('refuses data at %s', (location, code) => {
  expect(() => sourceOf(folderWith(location))).toThrow(expect.objectContaining({ code }));
});
