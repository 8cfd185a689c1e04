/** The graphs beside a decoder of vectors, as transformers.js finds them: `onnx/embed_tokens.onnx`, `onnx/vision_encoder_fp16.onnx`. */
import { copyFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { PartFiles } from './package-source.js';

/** Dtypes of transformers.js by the ends of file names. */
const DTYPES: readonly (readonly [RegExp, string])[] = [
  [/_q4f16$/, 'q4f16'],
  [/_fp16$/, 'fp16'],
  [/_q4$/, 'q4'],
  [/_q8$|_quantized$|_u?int8$/, 'q8'],
];

/** Paths of the files of the parts, relative to the package. */
export const partPaths = (parts: readonly PartFiles[]): readonly string[] =>
  parts.flatMap(({ graph, data }) => [graph, ...data].map((path) => `onnx/${basename(path)}`));

/** Copies the parts into `folder` under the names they have. */
export function copyParts(folder: string, parts: readonly PartFiles[]): void {
  for (const { graph, data } of parts)
    for (const path of [graph, ...data]) copyFileSync(path, join(folder, 'onnx', basename(path)));
}

/** What is to be loaded of each part, by its name. */
export const partDtypes = (parts: readonly PartFiles[]): Readonly<Record<string, string>> =>
  Object.fromEntries(parts.map(({ part, graph }) => [part, dtypeIn(graph)]));

function dtypeIn(graph: string): string {
  const stem = basename(graph).replace(/\.onnx$/i, '');
  return DTYPES.find(([end]) => end.test(stem))?.[1] ?? 'fp32';
}

/** Number of data files by the name of the graph. */
export const partChunks = (parts: readonly PartFiles[]): Readonly<Record<string, number>> =>
  Object.fromEntries(parts.flatMap(({ graph, data }) => (data.length === 0 ? [] : [[basename(graph), data.length]])));
