/** The facts themselves: which runtime runs which form from which version on, and how that was found out. */
import type { Fact } from './targets.js';

const NODE = 'onnxruntime-node 1.20.1 to 1.30.0, x86-64';
const NESTED = 'nested and self-contained sets of TinyStories-656K in ONNX Runtime 1.20.1 to 1.32, x86-64';
const WASM = 'onnxruntime-web 1.22.0, 1.24.3, 1.26.0 and 1.30.0 in Node.js';
const GPU = 'onnxruntime-web 1.22.0, 1.24.3, 1.26.0 and 1.30.0 in Chromium, SwiftShader adapter without shader-f16';
const BOTH_BUILDS =
  'TinyStories-656K in both WASM builds: onnxruntime-web 1.30.0, and the WebGPU build, which transformers.js uses';
const GENAI = 'TinyStories-656K in onnxruntime-genai 0.18.0 with ONNX Runtime 1.32.0, older versions not tried';
const OPENVINO = 'TinyStories-656K, blocks of 32, OpenVINO 2026.4.1 on x86-64, older versions not tried';
const HALF_KERNELS =
  'TinyStories-656K in float16, onnxruntime-web 1.30.0 in Chromium: a session is made, and no float16 node lacks a WebGPU kernel; not run, because SwiftShader has no shader-f16';

export const FACTS: readonly Fact[] = [
  { runtime: 'onnxruntime', form: 'product-4', since: '1.21', measured: NESTED },
  { runtime: 'onnxruntime', form: 'product-8', since: '1.22', measured: `${NESTED}; 1.22 needs accuracy_level 4` },
  { runtime: 'onnxruntime', form: 'product-2', since: '1.24', measured: `${NESTED}; packed kernels from 1.29` },
  {
    runtime: 'onnxruntime',
    form: 'half-4',
    since: '1.22',
    measured: `${NESTED}; 1.20.1 is wrong by 19 to 33 % where scales are computed`,
  },
  { runtime: 'onnxruntime', form: 'half-8', since: '1.23', measured: NODE },
  { runtime: 'onnxruntime', form: 'half-2', since: '1.29', measured: `${NODE}; 1.24.3 to 1.27.0 refuse it` },
  { runtime: 'onnxruntime', form: 'lookup-4', since: '1.23', measured: `${NODE}; 1.22 has no attribute bits` },
  { runtime: 'onnxruntime', form: 'lookup-8', since: '1.23', measured: `${NODE}; 1.22 has no attribute bits` },
  {
    runtime: 'onnxruntime',
    form: 'lookup-2',
    since: '1.30',
    measured: `${NODE}; 1.26 refuses it, 1.27 to 1.29 not tried`,
  },
  { runtime: 'onnxruntime', form: 'standard-lookup', since: '1.21', measured: 'standard operators; run in 1.30.0' },
  { runtime: 'onnxruntime', form: 'joins', since: '1.21', measured: NESTED },
  { runtime: 'wasm', form: 'product-4', since: '1.22', measured: WASM },
  { runtime: 'wasm', form: 'product-8', since: '1.24', measured: WASM },
  { runtime: 'wasm', form: 'product-2', since: '1.24', measured: WASM },
  { runtime: 'wasm', form: 'half-4', since: '1.24', measured: WASM },
  { runtime: 'wasm', form: 'half-8', since: '1.24', measured: WASM },
  { runtime: 'wasm', form: 'half-2', since: '1.30', measured: `${WASM}; 1.24.3 and 1.26 fail` },
  ...(['lookup-2', 'lookup-4', 'lookup-8'] as const).map((form): Fact => {
    const measured = `${BOTH_BUILDS}: the first has the kernel, the second refuses to make a session`;
    return { runtime: 'wasm', form, since: null, measured };
  }),
  { runtime: 'wasm', form: 'standard-lookup', since: '1.30', measured: BOTH_BUILDS },
  { runtime: 'wasm', form: 'joins', since: '1.30', measured: BOTH_BUILDS },
  { runtime: 'webgpu', form: 'product-4', since: '1.24', measured: `${GPU}; 1.22 is wrong for blocks of 64 and more` },
  { runtime: 'webgpu', form: 'product-8', since: '1.24', measured: GPU },
  {
    runtime: 'webgpu',
    form: 'product-2',
    since: '1.26',
    measured: `${GPU}; 1.24.3 refuses zero points and is 5 % off for single rows`,
  },
  { runtime: 'webgpu', form: 'half-4', since: '1.30', measured: HALF_KERNELS },
  { runtime: 'webgpu', form: 'half-8', since: '1.30', measured: HALF_KERNELS },
  { runtime: 'webgpu', form: 'half-2', since: '1.30', measured: HALF_KERNELS },
  { runtime: 'webgpu', form: 'lookup-4', since: '1.26', measured: 'onnxruntime-web 1.26 to 1.30 in Chromium' },
  { runtime: 'webgpu', form: 'lookup-8', since: '1.26', measured: 'onnxruntime-web 1.26 to 1.30 in Chromium' },
  { runtime: 'webgpu', form: 'lookup-2', since: null, measured: 'refused by onnxruntime-web 1.26 to 1.30' },
  {
    runtime: 'webgpu',
    form: 'standard-lookup',
    since: '1.26',
    measured:
      'standard operators; those without a WebGPU kernel run on the WASM provider of the same build, not measured on a GPU',
  },
  {
    runtime: 'webgpu',
    form: 'joins',
    since: '1.26',
    measured: 'folded on the WASM provider when a session is made, not measured on a GPU',
  },
  ...(['product-2', 'product-4', 'product-8', 'lookup-4', 'lookup-8', 'joins'] as const).map((form): Fact => {
    return { runtime: 'genai', form, since: '0.18', measured: GENAI };
  }),
  ...(['half-2', 'half-4', 'half-8', 'lookup-2', 'standard-lookup'] as const).map((form): Fact => {
    return {
      runtime: 'genai',
      form,
      since: '0.18',
      measured: 'as the ONNX Runtime 1.32 that it runs on, not tried by itself',
    };
  }),
  { runtime: 'openvino', form: 'product-4', since: '2026.4', measured: OPENVINO },
  { runtime: 'openvino', form: 'product-8', since: '2026.4', measured: OPENVINO },
  { runtime: 'openvino', form: 'product-2', since: null, measured: `${OPENVINO}: the model does not compile` },
  ...(['half-4', 'half-8'] as const).map((form): Fact => {
    return { runtime: 'openvino', form, since: '2026.4', measured: 'not tried; its parts are run in float32' };
  }),
  { runtime: 'openvino', form: 'standard-lookup', since: '2026.4', measured: OPENVINO },
  { runtime: 'openvino', form: 'half-2', since: null, measured: `${OPENVINO}: in float32 the model does not compile` },
  ...(['lookup-2', 'lookup-4', 'lookup-8'] as const).map((form): Fact => {
    return { runtime: 'openvino', form, since: null, measured: `${OPENVINO}: scales that are computed are refused` };
  }),
  { runtime: 'openvino', form: 'joins', since: null, measured: `${OPENVINO}: codes that are not constant are refused` },
];
