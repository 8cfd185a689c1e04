/** A decoder and the embedding model beside it as one session, which takes token ids where the decoder takes vectors. */
import type { Understood } from './input-roles.js';
import type { Feeds, HostTensor, Session, TensorInfo } from './runtime.js';
import type { TokenEmbedding } from './token-embedding.js';

const IDS = 'input_ids';

/** `session` with the inputs that `embedding` makes replaced by token ids; both are closed together. */
export function embeddedSession(
  session: Session,
  roles: ReadonlyMap<string, Understood>,
  embedding: TokenEmbedding,
): Session {
  const made = session.inputs.filter((port) => roles.get(port.name)?.role === 'vectors' && embedding.makes(port));
  const ownIds = session.inputs.find(({ name }) => roles.get(name)?.role === 'ids');
  const ids: TensorInfo = ownIds ?? { name: IDS, dtype: 'int64', dims: made[0]?.dims.slice(0, 2) ?? [] };
  const others = session.inputs.filter((port) => port !== ownIds && !made.includes(port));
  return {
    at: session.at,
    inputs: [ids, ...others],
    outputs: session.outputs,
    ...(session.executed !== undefined && { executed: () => session.executed?.() ?? [] }),
    run: async (feeds, fetches) => {
      const { [ids.name]: given, ...rest } = feeds;
      const whole: Record<string, HostTensor> = { ...(ownIds === undefined ? rest : feeds) };
      const texts = textsOf(given as HostTensor);
      for (const port of made) whole[port.name] = await embedding.vectors(port, port.dtype, texts);
      return session.run(whole as Feeds, fetches);
    },
    close: async () => {
      try {
        await session.close();
      } finally {
        await embedding.close();
      }
    },
  };
}

function textsOf({ dims, data }: HostTensor): { windows: readonly number[][]; length: number } {
  const [count = 0, length = 0] = dims;
  const values = Array.from(data as BigInt64Array | Int32Array, Number);
  const windows = Array.from({ length: count }, (_, at) => values.slice(at * length, (at + 1) * length));
  return { windows, length };
}
