/** Where a decoder ends: the last hidden state, the head, and the logits. */
import type { Execution } from '../analysis/execution.js';
import type { ModelAnalysis, Projection } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import type { Model, Value } from '../onnx/ir/graph.js';

export interface DecoderHead {
  readonly projection: Projection;
  /** The last hidden state, input of the head. */
  readonly hidden: Value;
  readonly logits: Value;
}

/** The head of a decoder. Error code `unsupported-model` where there is none. */
export function headOf(model: Model, analysis: ModelAnalysis, execution: Execution): DecoderHead {
  const projection = analysis.projections.find(({ role }) => role === 'head');
  const logits = model.graph.outputs.find(({ name }) => name === 'logits');
  const nodes = new Set(execution.nodes);
  const site = projection?.sites.find(({ node }) => nodes.has(node));
  if (projection === undefined || logits === undefined || site === undefined)
    return fail(
      'unsupported-model',
      'logits',
      'Gradients of the loss need a head that leads from the last hidden state to logits',
    );
  return { projection, hidden: execution.resolve(site.input), logits: execution.resolve(logits) };
}
