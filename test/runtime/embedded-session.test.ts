/** A decoder of vectors and the embedding beside it, opened as one that takes token ids. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { architecture } from '../../scripts/models/architectures.js';
import { decoderOf } from '../../scripts/models/decoder.js';
import { exporter } from '../../scripts/models/exporters.js';
import { SIZE } from '../../scripts/models/spec.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type Feeds, type HostTensor, integers, withSession } from '../../src/runtime/runtime.js';
import { distance } from '../support/numeric.js';
import { temporaryFolder } from '../support/paths.js';
import { toyWeight } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const { hidden, vocabulary, perLayer } = SIZE;
const [decoder, embedding] = ['decoder_model_merged.onnx', 'embed_tokens.onnx'].map((name) => join(root, name)) as [
  string,
  string,
];
exportModel(decoderOf(architecture('gemma4Vectors'), exporter('js')), decoder);

/** Both kinds of vectors, as Gemma 3n and 4 have them. */
function writeEmbedding(path: string, width: number): void {
  const b = new GraphBuilder({ opset: 18 });
  const ids = b.input('input_ids', 'int64', ['batch', 'tokens']);
  const looked = (columns: number, seed: number) =>
    b.op('Gather', [b.constant(toyWeight(vocabulary, columns, seed), `table${seed}`), ids]);
  const deep = b.op('Reshape', [looked(2 * perLayer, 2), b.integers([0, 0, 2, perLayer])]);
  b.output(looked(width, 1), 'inputs_embeds', { dtype: 'float32', shape: ['batch', 'tokens', width] });
  b.output(deep, 'per_layer_inputs', { dtype: 'float32', shape: ['batch', 'tokens', 2, perLayer] });
  exportModel(b.model(), path);
}
writeEmbedding(embedding, hidden);

const IDS = [3, 17, 90, 17, 4];

it('gives what the two give one behind the other, and decodes with its cache', async () => {
  const opened = await openDecoder(ortRuntime, decoder, { threads: 1 });
  try {
    expect(opened.inputs.map(({ info }) => info.name)).toContain('input_ids');
    expect(opened.inputs.map(({ role }) => role)).not.toContain('vectors');
    const { logits } = await opened.session.run(promptFeeds(opened, IDS), ['logits']);
    const vectors = await withSession(ortRuntime, embedding, { threads: 1 }, (session) =>
      session.run({ input_ids: integers(IDS, [1, IDS.length]) }),
    );
    const { input_ids: _, ...others } = promptFeeds(opened, IDS);
    const direct = await withSession(ortRuntime, decoder, { threads: 1 }, (session) =>
      session.run({ ...others, ...vectors } as Feeds, ['logits']),
    );
    expect(distance(direct.logits as HostTensor, logits as HostTensor)).toBe(0);
    expect((await generate(opened, IDS, 4)).ids).toHaveLength(4);
  } finally {
    await opened.session.close();
  }
});

it('is refused where the widths differ, with both', async () => {
  const folder = join(root, 'other');
  mkdirSync(folder);
  writeEmbedding(join(folder, 'embed_tokens.onnx'), hidden / 2);
  const path = join(folder, 'model.onnx');
  exportModel(decoderOf(architecture('gemma4Vectors'), exporter('js')), path);
  const opened = await openDecoder(ortRuntime, path, { threads: 1 });
  try {
    await expect(opened.session.run(promptFeeds(opened, IDS))).rejects.toMatchObject({
      code: 'unsupported-model',
      message: expect.stringContaining(`[${hidden / 2}]`),
    });
  } finally {
    await opened.session.close();
  }
});
