/**
 * Jest's sandbox has typed arrays of its own, which onnxruntime-node does not recognise as data ("must be type of function
 * Float32Array"). This environment hands the outer constructors in.
 */
import { TestEnvironment } from 'jest-environment-node';

const typedArrays = Object.getOwnPropertyNames(globalThis).filter((name) => /(Int|Uint|Float)\w*Array$/.test(name));
const shared = [...typedArrays, 'ArrayBuffer', 'SharedArrayBuffer', 'DataView', 'Atomics', 'WebAssembly'];

export default class extends TestEnvironment {
  async setup() {
    await super.setup();
    for (const name of shared) this.global[name] = globalThis[name];
  }
}
