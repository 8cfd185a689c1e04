/** What the path of a graph says about its weights, by the names that exporters use. */

const QUANTIZED = /(^|[-_/.])(q[1-8](f16)?|k?quant(ized)?|u?int[2348]|bnb4|awq|gptq|rtn|4bit|8bit)(?=$|[-_/.])/i;
const HALF = /(^|[-_/.])b?(fp|float)16(?=$|[-_/.])/i;

/** True for `model_q4.onnx` and `onnx/int8/model.onnx`. */
export const isQuantizedName = (path: string): boolean => QUANTIZED.test(path);

/** True for `model_fp16.onnx`. */
export const isHalfName = (path: string): boolean => HALF.test(path);

/** Compares forms of one graph for a sort: float before float16 before quantized, and by their paths within these. */
export const byForm = (a: string, b: string): number => rank(a) - rank(b) || (a < b ? -1 : 1);

const rank = (path: string): number => (isQuantizedName(path) ? 2 : isHalfName(path) ? 1 : 0);
