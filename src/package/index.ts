/** Folders that transformers.js, onnxruntime-genai and ONNX Runtime load as they are. */
export type { Format } from '../options/index.js';
export {
  type CompileForInput,
  type CompileForResult,
  compileFor,
  packageWith,
  recipeFor,
  requirePackable,
} from './compile-for.js';
export type { Float16Package } from './float16.js';
export type { PackagedModel } from './transformers-js.js';
