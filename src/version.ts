/** Name and version of the tool, as written into sets and reports; a test holds it against package.json. */
export const TOOL = 'onnx-matquant 0.1.0';
