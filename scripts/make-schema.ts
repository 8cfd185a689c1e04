/**
 * Writes src/onnx/proto/schema.ts from a copy of ONNX's own `onnx-ml.proto`, without its comments:
 *   node dist/scripts/make-schema.js path/to/onnx-ml.proto 1.23.2
 */
import { readFileSync, writeFileSync } from 'node:fs';

const [path, version] = process.argv.slice(2);
if (path === undefined || version === undefined) throw new Error('usage: make-schema PATH ONNX_VERSION');

const text = readFileSync(path, 'utf8')
  .replaceAll(/\/\/.*$/gm, '')
  .replaceAll(/[ \t]+$/gm, '')
  .replaceAll(/^\s*\n/gm, '')
  .replaceAll(/^\};$/gm, '}')
  .trim();

const header = `/**
 * The ONNX schema of release ${version} (onnx/onnx-ml.proto, Copyright (c) ONNX Project Contributors, Apache-2.0), comments removed.
 * Embedded as text so that the packed module needs no file beside it. Made by scripts/make-schema.ts; do not edit.
 */
`;
writeFileSync('src/onnx/proto/schema.ts', `${header}export const ONNX_PROTO = \`\n${text}\n\`;\n`);
