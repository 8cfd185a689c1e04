/**
 * The embedding model beside a decoder that takes vectors: `embed_tokens.onnx` in the layout of transformers.js, `embedding.onnx` in
 * others. It makes the vectors of token ids, `inputs_embeds` and, for Gemma 3n and 4, `per_layer_inputs`.
 */
import { fail } from '../diagnostics.js';
import type { DType } from '../onnx/ir/dtype.js';
import { fromFloat32 } from '../onnx/ir/half.js';
import type { Port } from './input-roles.js';
import { ortRuntime } from './ort.js';
import { counts, type HostTensor, numbersOf, type Outputs, type Session, type TensorInfo } from './runtime.js';

/** Token ids of several texts of one length. */
export interface EmbeddedTexts {
  readonly windows: readonly ArrayLike<number>[];
  readonly length: number;
}

/** An open embedding model; several may be open at one path and share the session. */
export interface TokenEmbedding {
  /** True for an input of the decoder that the model makes. */
  makes(port: Port): boolean;
  /** Vectors [texts, tokens, …] in the type of the decoder's input. Fails with `unsupported-model` where the widths differ. */
  vectors(port: Port, dtype: DType, texts: EmbeddedTexts): Promise<HostTensor>;
  close(): Promise<void>;
}

/** Sessions by path, with how many have them open. */
const shared = new Map<string, { readonly session: Promise<Session>; users: number }>();

/** Opens the model at `path`. Fails with `unsupported-model` where it takes more than token ids. */
export async function openEmbedding(path: string): Promise<TokenEmbedding> {
  const entry = shared.get(path) ?? { session: ortRuntime.open(path), users: 0 };
  shared.set(path, entry);
  entry.users++;
  const close = async (): Promise<void> => {
    if (--entry.users > 0) return;
    if (shared.get(path) === entry) shared.delete(path);
    await (await entry.session).close();
  };
  try {
    return embeddingOf(await entry.session, path, close);
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

function embeddingOf(session: Session, path: string, close: () => Promise<void>): TokenEmbedding {
  const [ids, ...others] = session.inputs;
  if (ids === undefined || others.length > 0 || !/^int(32|64)$/.test(ids.dtype))
    fail(
      'unsupported-model',
      path,
      'The embedding model beside the decoder takes more than token ids; move it to another folder to compile without text',
    );
  let last: { readonly windows: EmbeddedTexts['windows']; readonly outputs: Promise<Outputs> } | undefined;
  const run = (texts: EmbeddedTexts): Promise<Outputs> => {
    if (last?.windows !== texts.windows)
      last = { windows: texts.windows, outputs: session.run({ [ids.name]: idsOf(texts, ids) }) };
    return last.outputs;
  };
  return {
    makes: (port) => outputFor(session, port) !== undefined,
    vectors: async (port, dtype, texts) => {
      const output = outputFor(session, port)?.name ?? '';
      const made = (await run(texts))[output] as HostTensor;
      requireWidths(port, made, path);
      return made.dtype === dtype ? made : converted(made, dtype);
    },
    close,
  };
}

const idsOf = ({ windows, length }: EmbeddedTexts, { dtype }: TensorInfo): HostTensor => {
  const values = windows.flatMap((window) => Array.from(window));
  return counts(dtype, values, [windows.length, length]) as HostTensor;
};

/** The output of the name of an input, or the only output, which then is what the decoder begins with. */
function outputFor({ outputs }: Session, { name }: Port): TensorInfo | undefined {
  const [first] = outputs;
  return (
    outputs.find((each) => each.name === name) ??
    (outputs.length === 1 && name !== 'per_layer_inputs' ? first : undefined)
  );
}

function requireWidths({ name, dims }: Port, made: HostTensor, path: string): void {
  const [wanted, given] = [dims?.slice(2), made.dims.slice(2)];
  const fits =
    wanted === undefined ||
    (wanted.length === given.length && wanted.every((dim, at) => typeof dim !== 'number' || dim === given[at]));
  if (!fits)
    fail(
      'unsupported-model',
      path,
      `The embedding model makes vectors [${given}], and ${name} of the decoder takes [${wanted}]; move it to another folder if it belongs to another decoder`,
    );
}

/** float16, bfloat16 and float32 into one another. */
function converted(made: HostTensor, to: DType): HostTensor {
  const { dims } = made;
  const numbers = numbersOf(made);
  if (to === 'float32') return { dtype: to, dims, data: numbers };
  if (to !== 'float16' && to !== 'bfloat16')
    return fail('unsupported-model', 'inputs_embeds', `There are no vectors of the type ${to}`);
  const bytes = fromFloat32(numbers, to);
  return { dtype: to, dims, data: new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2) };
}
