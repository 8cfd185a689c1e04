/**
 * One group's statistics as a safetensors file: 8 bytes with the length of a JSON header, the header, the raw little-endian data.
 * The Gram triangle is rounded to float32 (6e-8 relative, far below the noise of any calibration text); sums stay float64.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { type GroupStatistics, triangleLength } from './statistics.js';

/** Elements converted at a time, so that a large matrix is not held in both types. */
const CHUNK = 1 << 20;

const entry = z.object({
  dtype: z.enum(['F32', 'F64']),
  shape: z.array(z.number()),
  data_offsets: z.tuple([z.number(), z.number()]),
});

const headerSchema = z
  .object({ __metadata__: z.object({ digest: z.string(), group: z.string(), k: z.string(), tokens: z.string() }) })
  .catchall(entry);

type Entry = z.infer<typeof entry>;

export async function writeTensors(path: string, digest: string, statistics: GroupStatistics): Promise<void> {
  const { group, k, tokens, gram, sum } = statistics;
  const tensors = [
    { name: 'gram', data: gram, dtype: 'F32', shape: [gram.length] },
    { name: 'sum', data: sum, dtype: 'F64', shape: [k] },
  ];
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { digest, group, k: String(k), tokens: String(tokens) } };
  for (const { name, data, dtype, shape } of tensors) {
    const length = data.length * (dtype === 'F32' ? 4 : 8);
    header[name] = { dtype, shape, data_offsets: [offset, offset + length] };
    offset += length;
  }
  const text = Buffer.from(JSON.stringify(header));
  // Data starts at a multiple of 8, as the format asks.
  const json = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(path, 'w');
  try {
    await file.appendFile(Buffer.concat([length, json]));
    for (const { data, dtype } of tensors) {
      for (let at = 0; at < data.length; at += CHUNK) {
        const part = data.subarray(at, at + CHUNK);
        await file.appendFile(bytesOf(dtype === 'F32' ? Float32Array.from(part) : part));
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Reads one group back. Error code `statistics` when the file is not the one the index promises. */
export async function readTensors(path: string, group: string, digest: string): Promise<GroupStatistics> {
  const file = await open(path, 'r').catch(() => fail('statistics', path, 'a file of the statistics is missing'));
  try {
    const { header, start } = await readHeader(file, path);
    const { __metadata__: metadata, ...entries } = header;
    if (metadata.digest !== digest || metadata.group !== group)
      fail('statistics', path, 'the file belongs to other statistics');
    const tensors = entries as Record<string, Entry>;
    const k = Number(metadata.k);
    const read = async (name: string, length: number): Promise<Float64Array> => {
      const tensor = tensors[name];
      const count = tensor?.shape.reduce((product, dim) => product * dim, 1);
      if (tensor === undefined || count !== length)
        return fail('statistics', path, `the tensor ${name} is missing or misshapen`);
      return readArray(file, path, start + tensor.data_offsets[0], length, tensor.dtype);
    };
    const gram = await read('gram', triangleLength(k));
    return { group, k, tokens: Number(metadata.tokens), gram, sum: await read('sum', k) };
  } finally {
    await file.close();
  }
}

async function readHeader(
  file: FileHandle,
  path: string,
): Promise<{ header: z.infer<typeof headerSchema>; start: number }> {
  const size = (await stat(path)).size;
  const prefix = await readBytes(file, path, 0, 8);
  const length = Number(Buffer.from(prefix.buffer).readBigUInt64LE());
  if (length > size - 8) fail('statistics', path, 'the file is cut short');
  try {
    const text = Buffer.from(await readBytes(file, path, 8, length)).toString('utf8');
    return { header: headerSchema.parse(JSON.parse(text)), start: 8 + length };
  } catch {
    return fail('statistics', path, 'the header cannot be read');
  }
}

async function readArray(
  file: FileHandle,
  path: string,
  start: number,
  length: number,
  dtype: Entry['dtype'],
): Promise<Float64Array> {
  const width = dtype === 'F32' ? 4 : 8;
  const values = new Float64Array(length);
  for (let at = 0; at < length; at += CHUNK) {
    const count = Math.min(CHUNK, length - at);
    const bytes = await readBytes(file, path, start + at * width, count * width);
    values.set(dtype === 'F32' ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer), at);
  }
  return values;
}

async function readBytes(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) fail('statistics', path, 'the file is cut short');
    done += bytesRead;
  }
  return bytes;
}

const bytesOf = (data: Float32Array | Float64Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
