/** Every pass of the product. The only list: commands, docs and tests read it. */
import type { PassDescription } from '../src/onnx/rewrite/define-pass.js';
import { computeFloat16 } from './compute-float16.js';
import { dequantizeWeights } from './dequantize-weights.js';
import { dropInitializerInputs } from './drop-initializer-inputs.js';
import { dropNotes } from './drop-notes.js';
import { expandAttention } from './expand-attention.js';
import { expandFastGelu } from './expand-fast-gelu.js';
import { expandFusedMatmul } from './expand-fused-matmul.js';
import { expandMoe } from './expand-moe.js';
import { expandRotary } from './expand-rotary.js';
import { expandSkipNorm } from './expand-skip-norm.js';
import { nestProjections } from './nest-projections.js';
import { packProjections } from './pack-projections.js';
import { qdqProjections } from './qdq-projections.js';
import { quantizeEmbedding } from './quantize-embedding.js';
import { shareTiedHead } from './share-tied-head.js';
import { splitExperts } from './split-experts.js';
import { storeFloat16 } from './store-float16.js';
import { unstackWeights } from './unstack-weights.js';

export const PASSES: readonly PassDescription[] = [
  dropInitializerInputs,
  dequantizeWeights,
  expandMoe,
  unstackWeights,
  splitExperts,
  dropNotes,
  shareTiedHead,
  expandSkipNorm,
  expandFastGelu,
  expandFusedMatmul,
  expandAttention,
  expandRotary,
  quantizeEmbedding,
  storeFloat16,
  computeFloat16,
  nestProjections,
  packProjections,
  qdqProjections,
];
