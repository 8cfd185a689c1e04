import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { fileSizesOf } from '../../../src/onnx/convert/file-sizes.js';
import { encodeModel } from '../../../src/onnx/proto/encode.js';
import { externalEntries } from '../../../src/onnx/proto/external-data.js';
import { EXTERNAL, type ModelProto, type TensorProto } from '../../../src/onnx/proto/messages.js';
import { temporaryFolder } from '../../support/paths.js';

const outside = (name: string, offset: number, length: number): TensorProto =>
  ({ name, dataLocation: EXTERNAL, externalData: externalEntries('set.data', offset, length) }) as TensorProto;

describe('fileSizesOf', () => {
  it('counts referenced ranges once, and the data file up to the last of them', () => {
    const folder = temporaryFolder();
    const initializer = [outside('a', 0, 100), outside('tied', 0, 100), outside('b', 4096, 50)];
    const graph = encodeModel({ graph: { name: 'g', initializer } } as ModelProto);
    const path = join(folder, 'model.onnx');
    writeFileSync(path, graph);
    writeFileSync(join(folder, 'set.data'), new Uint8Array(10_000));
    expect(fileSizesOf(path)).toEqual({ fileBytes: graph.length + 150, downloadBytes: graph.length + 4146 });
  });

  it('fails when there is no such file', () => {
    expect(() => fileSizesOf(join(temporaryFolder(), 'none.onnx'))).toThrow(
      expect.objectContaining({ code: 'file-missing' }),
    );
  });
});
