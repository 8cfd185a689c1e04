/** Folders that transformers.js, onnxruntime-genai and ONNX Runtime load as they are. */
export { FORMATS, type Format } from './card.js';
export { type CompileForInput, type CompileForResult, compileFor } from './compile-for.js';
export type { PackagedModel } from './transformers-js.js';
