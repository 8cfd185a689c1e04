/** Exports of Gemma and Mistral on the hub, as public model cards, file lists, configurations and conversion scripts describe them. */

/** One export, or several that are written alike. */
export interface HubExport {
  readonly models: string;
  /** Files with weights. */
  readonly layout: string;
  /** Operators of the float decoder, as far as a public source names them. */
  readonly operators: string;
  /** Numbers in `SOURCES`. */
  readonly sources: readonly number[];
  /** Rows of docs/models.md that are written alike: architecture and exporter. */
  readonly fixtures: readonly (readonly [string, string])[];
  /** In what the export differs from the fixtures. */
  readonly beyond: string;
}

/** What the table refers to. */
export const SOURCES: readonly string[] = [
  '`build_gemma.py`, the conversion script of the ONNX community for Gemma 3 text models ([gist](https://gist.github.com/xenova/a219dbf3c7da7edd5dbb05f92410d7bd)), used by the [Gemma cookbook](https://github.com/google-gemini/gemma-cookbook/tree/main/Demos/Emoji-Gemma-on-Web)',
  'attributes and inputs of `GroupQueryAttention` in `gemma-3-1b-it-ONNX`, as reported in [sonos/tract#2345](https://github.com/sonos/tract/issues/2345)',
  'file list of a conversion of `gemma-3-4b-it`: [NSTiwari/gemma3-onnx](https://huggingface.co/NSTiwari/gemma3-onnx/tree/main/onnx)',
  'transformers.js, models `gemma3n` and `gemma4`: the graphs that are opened and their inputs ([source](https://github.com/huggingface/transformers.js)); Gemma 3n since [3.6.0](https://github.com/huggingface/transformers.js/issues/1334)',
  'file list of a copy of `onnx-community/gemma-4-E2B-it-ONNX` ([commit](https://huggingface.co/FINAL-Bench/Darwin-2B-webgpu/commit/019c6fef87e2259750968586809d2d4f3ee5dd95))',
  'card of a copy of `onnx-community/gemma-4-E4B-it-ONNX`: [soniqo/gemma-4-E4B-it-ONNX](https://huggingface.co/soniqo/gemma-4-E4B-it-ONNX)',
  '[microsoft/onnxruntime#28895](https://github.com/microsoft/onnxruntime/issues/28895) on the QAT exports of Gemma 4',
  '[microsoft/onnxruntime-genai#2062](https://github.com/microsoft/onnxruntime-genai/issues/2062) and the builders of onnxruntime-genai ([source](https://github.com/microsoft/onnxruntime-genai/tree/main/src/python/py/models/builders))',
  'mobius ([pull request](https://github.com/onnxruntime/mobius/pull/269)) and the card of an export with it: [justinchuby/onnx-genai-example-gemma4-e2b](https://huggingface.co/justinchuby/onnx-genai-example-gemma4-e2b)',
  'card of [hyperquader/ministral-3-3b-instruct-genai-int4](https://huggingface.co/hyperquader/ministral-3-3b-instruct-genai-int4), which describes the export of Mistral AI; transformers.js [1474](https://github.com/huggingface/transformers.js/pull/1474)',
  'file list of [microsoft/mistral-7b-instruct-v0.2-ONNX](https://huggingface.co/microsoft/mistral-7b-instruct-v0.2-ONNX/tree/main/onnx)',
  'file list of [BricksDisplay/Mistral-7B-v0.1](https://huggingface.co/BricksDisplay/Mistral-7B-v0.1/tree/main/onnx)',
  'cards of [LiquidAI/LFM2.5-350M-ONNX](https://huggingface.co/LiquidAI/LFM2.5-350M-ONNX) and [LiquidAI/LFM2.5-8B-A1B-ONNX](https://huggingface.co/LiquidAI/LFM2.5-8B-A1B-ONNX), and of a [replica of their decoder](https://huggingface.co/matbee/LFM2.5-350M-Instruct-ONNX-Vulkan)',
];

export const HUB_EXPORTS: readonly HubExport[] = [
  {
    models:
      '`onnx-community/gemma-3-270m-it-ONNX`, `functiongemma-270m-it-ONNX`, and fine-tunes made with the same script',
    layout: '`onnx/model.onnx`; also fp16, q4, q4f16',
    operators:
      'MatMul, SimplifiedLayerNormalization, RotaryEmbedding, GroupQueryAttention (window, rotary outside), Gelu; head: MatMul by the transposed embedding',
    sources: [1],
    fixtures: [
      ['Gemma 3', 'onnxruntime-genai'],
      ['Gemma 3', 'transformers.js, written out'],
      ['Gemma 2', 'onnxruntime-genai, rotary outside'],
    ],
    beyond: 'nothing known',
  },
  {
    models: '`onnx-community/gemma-3-1b-it-ONNX`',
    layout: '`onnx/model.onnx`; also fp16, q4, q4f16',
    operators:
      'GroupQueryAttention with rotary inside, window and `attention_bias`; others not named for the float file',
    sources: [2],
    fixtures: [['Gemma 3', 'onnxruntime-genai']],
    beyond: 'GroupQueryAttention has the input `attention_bias`, which is no weight',
  },
  {
    models: 'Gemma 3 4B and larger',
    layout: '`decoder_model_merged.onnx`, `embed_tokens.onnx`, `vision_encoder.onnx`',
    operators: 'not named',
    sources: [3],
    fixtures: [
      ['Gemma 3, multimodal', 'transformers.js, written out'],
      ['Gemma 3, multimodal', 'transformers.js, grouped-query'],
    ],
    beyond: 'has a vision encoder, which is copied as it is',
  },
  {
    models: '`onnx-community/gemma-3n-E2B-it-ONNX`',
    layout:
      '`decoder_model_merged.onnx` (inputs `inputs_embeds`, `per_layer_inputs`), `embed_tokens.onnx`, `vision_encoder.onnx`, `audio_encoder.onnx`',
    operators: 'not named',
    sources: [4],
    fixtures: [
      ['Gemma 3n, multimodal', 'transformers.js, written out'],
      ['Gemma 3n', 'optimum, with past'],
    ],
    beyond:
      'has encoders for images and sound, which are copied; `embed_tokens` with the tables for each layer is most of the bytes and is copied too, the float form first',
  },
  {
    models: '`onnx-community/gemma-4-E2B-it-ONNX`, `gemma-4-E4B-it-ONNX`',
    layout:
      '`decoder_model_merged.onnx` (inputs `inputs_embeds`, `per_layer_inputs`; cache of the layers that own one), `embed_tokens.onnx`, `vision_encoder.onnx`, `audio_encoder.onnx`; also fp16, q8, q4, q4f16',
    operators: 'GroupQueryAttention with `attention_bias`; others not named for the float file',
    sources: [4, 5, 6],
    fixtures: [['Gemma 4, multimodal', 'transformers.js, written out']],
    beyond: 'head sizes differ between layers (256 and 512); encoders and `embed_tokens` as for Gemma 3n',
  },
  {
    models: '`onnx-community/gemma-4-E2B-it-qat-mobile-ONNX`, `gemma-4-E4B-it-qat-mobile-ONNX`',
    layout: 'as above',
    operators: 'MatMulNBits and GatherBlockQuantized with 2 bits',
    sources: [7],
    fixtures: [
      ['Mistral 7B', 'optimum, with past, int4 MatMulNBits'],
      ['Mistral 7B', 'optimum, with past, int4 MatMulNBits, `--dequantize-source`'],
    ],
    beyond: 'weights were trained for 2 bits: use these files as they are',
  },
  {
    models: 'Gemma 4 26B-A4B and 31B, and text decoders by mobius',
    layout: 'one graph with data file',
    operators:
      'GroupQueryAttention in layers with a cache of their own, standard Attention in the others (an option puts GroupQueryAttention there too); not in the builder of onnxruntime-genai',
    sources: [8, 9],
    fixtures: [
      ['Gemma 4, keys as values', 'onnxruntime-genai'],
      ['Gemma 4, experts in stacks', 'optimum, with past'],
      ['Gemma 4, MoE operator', 'operators of opset 23, with past'],
    ],
    beyond: 'has GroupQueryAttention and Attention in one graph',
  },
  {
    models: '`mistralai/Ministral-3-3B-Instruct-2512-ONNX`',
    layout: '`decoder_model_merged.onnx`, `embed_tokens.onnx`, `vision_encoder.onnx`',
    operators: 'not named',
    sources: [10],
    fixtures: [
      ['Mistral Small 3, multimodal', 'transformers.js, written out'],
      ['Ministral 3', 'optimum, with past'],
    ],
    beyond: 'YaRN and attention temperature in a decoder that takes vectors: each of the two fixtures has one half',
  },
  {
    models: 'Ministral 3 by the builder of onnxruntime-genai',
    layout: '`model.onnx`, `model.onnx.data`; vision encoder beside it',
    operators:
      'MatMul, SimplifiedLayerNormalization, SkipSimplifiedLayerNormalization, GroupQueryAttention with packed q, k and v; float8 checkpoints are widened first',
    sources: [8],
    fixtures: [['Ministral 3', 'onnxruntime-genai, rotary outside']],
    beyond: 'q, k and v are one weight, which `Phi-3` has by the same exporter',
  },
  {
    models: 'Mistral Small 3.x, Magistral, Devstral (24B)',
    layout: 'no ONNX export was found on the hub; those that exist are GGUF, AWQ and FP8',
    operators: 'those of the exporter that is used',
    sources: [8],
    fixtures: [['Mistral Small 3, multimodal', 'transformers.js, written out']],
    beyond: 'size: an export in float32 has 94 GB, see [several machines](scale.md)',
  },
  {
    models: 'Mistral 7B: `microsoft/mistral-7b-instruct-v0.2-ONNX` and others by the builder of onnxruntime-genai',
    layout: '`NAME.onnx`, `NAME.onnx.data`; mostly int4, for CUDA also fp16',
    operators: 'as for Ministral 3; int4 files have MatMulNBits',
    sources: [8, 11],
    fixtures: [
      ['Mistral 7B', 'onnxruntime-genai, float16'],
      ['Mistral 7B', 'onnxruntime-genai'],
      ['Mistral 7B', 'optimum, with past, int4 MatMulNBits'],
    ],
    beyond: 'nothing known',
  },
  {
    models: 'Mistral 7B by optimum, older layout',
    layout:
      '`decoder_model_merged.onnx` (one If with two branches), `decoder_model.onnx`, `decoder_with_past_model.onnx`',
    operators: 'standard operators',
    sources: [12],
    fixtures: [['Mistral 7B', 'optimum, merged']],
    beyond: 'nothing known',
  },
  {
    models: 'Mixtral 8x7B',
    layout: 'no float ONNX export was found on the hub',
    operators: 'by exporter: a branch per expert (optimum), stacked weights (torch.onnx), `MoE` (onnxruntime-genai)',
    sources: [8],
    fixtures: [
      ['Mixtral, one branch per expert', 'optimum, with past'],
      ['Mixtral, stacks, batched MatMul', 'torch.onnx, dynamo'],
      ['Mixtral, MoE operator', 'onnxruntime-genai'],
    ],
    beyond: 'size, as above',
  },
  {
    models: 'For comparison: `LiquidAI/LFM2.5-350M-ONNX`, `LFM2.5-8B-A1B-ONNX` (neither Gemma nor Mistral)',
    layout: '`onnx/model.onnx`; also fp16, q4, q4f16, q8',
    operators:
      'GroupQueryAttention with rotary inside, SimplifiedLayerNormalization, convolutions with a state (`past_conv.N`)',
    sources: [13],
    fixtures: [],
    beyond:
      'not tried: convolutions stay float (`product-form`), and a cache with `past_conv` inputs may be refused (`unsupported-model`)',
  },
];
