/** The graphs beside a decoder of vectors, as transformers.js finds them: `onnx/embed_tokens.onnx`, `onnx/vision_encoder_fp16.onnx`. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { PartFiles } from './package-source.js';

/** Dtypes of transformers.js by the ends of file names. */
const DTYPES: readonly (readonly [RegExp, string])[] = [
  [/_q4f16$/, 'q4f16'],
  [/_fp16$/, 'fp16'],
  [/_q4$/, 'q4'],
  [/_q8$|_quantized$|_u?int8$/, 'q8'],
];

/** The files of a part, with their paths in the package: data files stay where their graph looks for them. */
const filesOf = ({ graph, data }: PartFiles): readonly { readonly from: string; readonly to: string }[] =>
  [graph, ...data].map((from) => ({ from, to: join('onnx', relative(dirname(graph), from)) }));

/** Paths of the files of the parts, relative to the package. */
export const partPaths = (parts: readonly PartFiles[]): readonly string[] =>
  parts.flatMap((part) => filesOf(part).map(({ to }) => to));

/** Copies the parts into `folder` under the names they have. */
export function copyParts(folder: string, parts: readonly PartFiles[]): void {
  for (const { from, to } of parts.flatMap(filesOf)) {
    mkdirSync(dirname(join(folder, to)), { recursive: true });
    copyFileSync(from, join(folder, to));
  }
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
