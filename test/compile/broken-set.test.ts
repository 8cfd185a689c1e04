import { statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { compile, evaluate } from '../../src/index.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';

it('evaluating a model of a set whose data was cut names the set', async () => {
  const model = fixture('models/mistral-656k/model.onnx');
  const folder = temporaryFolder();
  const output = join(folder, 'set');
  await compile({ model, output, name: 'm', recipe: { method: 'rtn', decode: 'tied', bits: [4, 2] } });
  const ids = join(folder, 'ids.jsonl');
  writeFileSync(ids, '[1, 2, 3, 4, 5]\n');
  const data = dataIn(output);
  truncateSync(data, statSync(data).size / 2);

  const candidates = [join(output, 'm_int4.onnx')];
  const evaluated = evaluate({ reference: model, candidates, text: { ids }, threads: 1, speed: false });

  await expect(evaluated).rejects.toMatchObject({ code: 'precision-missing', at: data });
}, 60_000);
