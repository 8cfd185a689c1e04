/** A model as a folder: what lies around its graph, for whoever makes another folder of it. */
export interface ModelFolder {
  /** The last part of the path or hub name that was given, without `.onnx`. */
  readonly name: string;
  /** Root of what belongs to the model; the graph may lie in a folder below it. */
  readonly folder: string;
  /** ONNX file of the float model; its data files lie beside it. */
  readonly graph: string;
  /** tokenizer.json */
  readonly tokenizer?: string;
  /** Paths by file name: config.json, generation_config.json, genai_config.json, tokenizer_config.json and the like. */
  readonly configs: Readonly<Record<string, string>>;
  /** chat_template.jinja or chat_template.json, else the tokenizer_config.json that holds a template. */
  readonly chatTemplate?: string;
  /** Graphs that run beside a decoder of vectors: embedding, encoders of images and sound. */
  readonly parts?: readonly string[];
  /** Files of licence, notice and terms, which go wherever the model goes. */
  readonly notices: readonly string[];
  /** README.md */
  readonly card?: string;
  /** Identifier from the head of the model card, such as `apache-2.0`. */
  readonly licence?: string;
  /** Repository that the model was made from, from the head of the model card. */
  readonly baseModel?: string;
  /** Where it was downloaded from: `ORG/NAME` and a commit. */
  readonly origin?: { readonly repo: string; readonly revision: string };
}
