/** What can go wrong in the browser: one sentence with a code, as the command line has them. */

/**
 * `http`: the server refused, or sent something else. `network`: the connection broke too often. `digest`: bytes are not those of
 * the set. `manifest`: not a set. `precision`: the set has no such precision. `inputs`: the model takes inputs that
 * `Conversation` cannot feed. `memory`: the browser has no room for the data. `closed`: the model was closed.
 */
export type NestedErrorCode = 'http' | 'network' | 'digest' | 'manifest' | 'precision' | 'inputs' | 'memory' | 'closed';

/** Error of the web reader: a code and a sentence. */
export class NestedError extends Error {
  override readonly name = 'NestedError';
  readonly code: NestedErrorCode;

  constructor(code: NestedErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
