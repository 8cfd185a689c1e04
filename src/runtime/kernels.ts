/** Which kernels ONNX Runtime uses on this processor. It chooses them by instruction set and does not say which. */
import { createHash } from 'node:crypto';
import { bytesOf } from '../files/transfer.js';
import { modelBytes } from '../onnx/convert/export.js';
import { int } from '../onnx/ir/attribute.js';
import { float32s } from '../onnx/ir/tensor.js';
import { GraphBuilder } from '../onnx/rewrite/builder.js';
import { createRandom } from '../random.js';
import { ortRuntime, RUNTIME_PACKAGE } from './ort.js';
import { floats, type HostTensor, withSession } from './runtime.js';

/** What float results depend on beside the model and its inputs. */
export interface KernelFacts {
  readonly processor: {
    /** Node.js's name of it: x64 or arm64. */
    readonly architecture: string;
    /** Beginning of the digest of a small calculation: processors with the same one give the same last digits. */
    readonly kernels: string;
  };
  /** Name and version of the package. */
  readonly runtime: string;
}

let found: Promise<KernelFacts> | undefined;

/** The facts of this process; computed once, in some milliseconds. */
export function kernelFacts(): Promise<KernelFacts> {
  found ??= digestOfKernels().then((kernels) => ({
    processor: { architecture: process.arch, kernels },
    runtime: RUNTIME_PACKAGE,
  }));
  return found;
}

const [ROWS, WIDTH, OUT] = [48, 160, 96] as const;

/** Products, a softmax and a sigmoid of noise: what a decoder is made of. */
async function digestOfKernels(): Promise<string> {
  const random = createRandom(1);
  const noise = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
  const b = new GraphBuilder({ opset: 18 });
  const x = b.input('x', 'float32', [ROWS, WIDTH]);
  const product = b.op('MatMul', [x, b.constant(float32s(noise(WIDTH * OUT), [WIDTH, OUT]), 'w')]);
  const outputs = [product, b.op('Softmax', [product], { axis: int(1) }), b.op('Sigmoid', [product])];
  outputs.forEach((value, at) => b.output(value, `y${at}`, { dtype: 'float32', shape: [ROWS, OUT] }));
  const feeds = { x: floats(noise(ROWS * WIDTH), [ROWS, WIDTH]) };
  const results = await withSession(ortRuntime, modelBytes(b.model()), { threads: 1 }, (session) => session.run(feeds));
  const hash = createHash('sha256');
  for (const name of Object.keys(results).sort()) hash.update(bytesOf((results[name] as HostTensor).data));
  return hash.digest('hex').slice(0, 12);
}
