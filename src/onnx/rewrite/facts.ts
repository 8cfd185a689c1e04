/** A fact is a named sentence about a model that can be checked: what passes need before and promise after. */
import type { Diagnostic } from '../../diagnostics.js';
import { graphsOf, isOp, type Model, nodesOf, placeOf } from '../ir/graph.js';

export interface Fact {
  /** Kebab case, as pages and messages show it. */
  readonly name: string;
  /** The sentence. */
  readonly means: string;
  /** What contradicts it; empty when it holds. */
  check(model: Model): readonly Diagnostic[];
}

const against = (at: string, message: string): Diagnostic => ({ code: 'invalid-graph', at, message });

/** Nothing that a caller feeds may replace a weight. */
export const initializersAreConstant: Fact = {
  name: 'initializers-are-constant',
  means: 'no graph input has an initializer',
  check: (model) =>
    [...graphsOf(model.graph)].flatMap(({ inputs }) =>
      inputs
        .filter(({ initializer }) => initializer !== undefined)
        .map(({ name }) => against(name, 'the initializer is also a graph input')),
    ),
};

/** An Identity is left only where a graph output needs a name of its own. */
export const noIdentity: Fact = {
  name: 'no-identity',
  means: 'every Identity makes a graph output',
  check: (model) =>
    [...nodesOf(model.graph)]
      .filter((node) => isOp(node, 'Identity') && node.outputs[0]?.isOutput === false)
      .map((node) => against(placeOf(node), 'the Identity only renames a value')),
};

/** Every node and initializer is there for a reason. */
export const nothingUnused: Fact = {
  name: 'nothing-unused',
  means: 'every node and every initializer leads to a graph output',
  check: (model) =>
    [...graphsOf(model.graph)].flatMap(({ nodes, initializers }) => [
      ...nodes
        .filter(({ outputs }) =>
          outputs.every((value) => value === undefined || !(value.uses.size > 0 || value.isOutput)),
        )
        .map((node) => against(placeOf(node), 'nobody reads the outputs of the node')),
      ...[...initializers]
        .filter(({ uses, isOutput, isInput }) => uses.size === 0 && !isOutput && !isInput)
        .map(({ name }) => against(name, 'nobody reads the initializer')),
    ]),
};
