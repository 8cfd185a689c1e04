/** Runs small models in ONNX Runtime with the same arbitrary feeds, so that a model before and after a pass can be compared. */
import { modelBytes } from '../../src/onnx/convert/export.js';
import { elementCount } from '../../src/onnx/ir/dtype.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type Feeds, floats, type HostTensor, integers, type Outputs, withSession } from '../../src/runtime/runtime.js';
import { noise } from './decoder.js';

/** Symbolic dimensions are fed with this size. */
const SIZE = 3;

/** Feeds for the inputs without a default: floats from noise, integers 0, 1, 2 … below `limit`, truth for bool. */
export function feedsFor({ graph }: Model, limit: number): Feeds {
  const open = graph.inputs.filter(({ initializer }) => initializer === undefined);
  return Object.fromEntries(open.map((value, at) => [value.name, feedOf(value, at, limit)]));
}

function feedOf({ name, type }: Value, seed: number, limit: number): HostTensor {
  const dims = (type?.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : SIZE));
  const count = elementCount(dims);
  if (type?.dtype === 'float32') return floats(noise(count, seed + 1), dims);
  if (type?.dtype === 'int64')
    return integers(
      Array.from({ length: count }, (_, index) => index % limit),
      dims,
    );
  if (type?.dtype === 'bool') return { dtype: 'bool', dims, data: new Uint8Array(count).fill(1) };
  throw new Error(`no feed for ${name} of ${type?.dtype}`);
}

/** Runs a model on one thread without graph rewriting, so that equal graphs give equal bytes. */
export function runModel(model: Model, feeds: Feeds): Promise<Outputs> {
  return withSession(ortRuntime, modelBytes(model), { threads: 1, optimization: 'disabled' }, (session) =>
    session.run(feeds),
  );
}
