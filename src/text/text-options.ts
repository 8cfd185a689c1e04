/** Source of token ids. */
export type TextOptions =
  /** A file with one JSON array of token ids a line; each line is one window. */
  | { readonly ids: string }
  | {
      /** Text files, or .jsonl files with one document a line under `jsonlField`. */
      readonly files: readonly string[];
      /** The tokenizer.json of the model. */
      readonly tokenizer: string;
      readonly jsonlField: string;
      /** First token of every window: the tokenizer's own, none, or an id. */
      readonly bos: 'auto' | 'none' | number;
    };

/** The files that text is read from. */
export function textFiles(text: TextOptions | undefined): readonly string[] {
  if (text === undefined) return [];
  return 'ids' in text ? [text.ids] : [...text.files, text.tokenizer];
}
/** The same before inputs are resolved: `files` may name `c4`, `wikitext` or `self`, and the tokenizer may be the model's own. */
export type TextAsked =
  | { readonly ids: string }
  | {
      readonly files: readonly string[];
      readonly tokenizer?: string;
      readonly jsonlField: string;
      readonly bos: 'auto' | 'none' | number;
    };

/** The same with defaults left out: `jsonlField` is `text` and `bos` is `auto`. */
export type TextInput =
  | { readonly ids: string }
  | {
      readonly files: readonly string[];
      /** By default the tokenizer.json that lies beside the model. */
      readonly tokenizer?: string;
      readonly jsonlField?: string;
      readonly bos?: 'auto' | 'none' | number;
    };
