/** One authority for names: every name of the model is known, and a fresh one never collides in any graph. */
import { type Graph, graphsOf } from './graph.js';

export class Names {
  readonly #taken: Set<string> = new Set();

  constructor(graph: Graph) {
    for (const each of graphsOf(graph)) {
      for (const value of [...each.inputs, ...each.initializers]) this.#taken.add(value.name);
      for (const node of each.nodes) {
        this.#taken.add(node.name);
        for (const output of node.outputs) if (output !== undefined) this.#taken.add(output.name);
      }
    }
  }

  has(name: string): boolean {
    return this.#taken.has(name);
  }

  /** `hint` itself when it is free, else `hint_1`, `hint_2`, …; the result is taken from now on. */
  fresh(hint: string): string {
    let name = hint;
    for (let count = 1; this.#taken.has(name); count++) name = `${hint}_${count}`;
    this.#taken.add(name);
    return name;
  }
}
