/** Sessions without a runtime: what a graph states of its inputs and outputs, and a function for what it computes. */
import type { Feeds, Outputs, Session, TensorInfo } from '../../src/runtime/runtime.js';

/** `name: [dtype, ...dims]`; strings after the dtype are dimensions chosen at run time. */
export type Interface = Readonly<Record<string, readonly [TensorInfo['dtype'], ...(number | string)[]]>>;

export function fakeSession(
  inputs: Interface,
  outputs: Interface,
  run: (feeds: Feeds, fetches?: readonly string[]) => Outputs = () => ({}),
): Session {
  const infos = (side: Interface): readonly TensorInfo[] =>
    Object.entries(side).map(([name, [dtype, ...dims]]) => ({ name, dtype, dims }));
  return {
    at: 'fake',
    inputs: infos(inputs),
    outputs: infos(outputs),
    run: async (feeds, fetches) => run(feeds, fetches),
    close: async () => {},
  };
}
