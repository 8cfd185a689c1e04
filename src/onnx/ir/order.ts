/** The order of nodes: every node after those whose outputs it reads, itself or in the graphs it holds. */
import { fail } from '../../diagnostics.js';
import { type Graph, graphsOf, type Node, placeOf, subgraphsOf, type Value } from './graph.js';

/** The nodes in topological order: as they are when that holds already, else moved as little as a stable sort can. */
export function topologicalOrder(graph: Graph): readonly Node[] {
  const position = new Map(graph.nodes.map((node, index) => [node, index]));
  const needs = graph.nodes.map((node) => producersOf(node, position));
  if (needs.every((list, index) => list.every((other) => other < index))) return graph.nodes;
  return sorted(graph.nodes, needs);
}

/** Positions of the nodes of the same graph that must come first. */
function producersOf(node: Node, position: ReadonlyMap<Node, number>): readonly number[] {
  const found = new Set<number>();
  for (const value of valuesReadBy(node)) {
    const at = value?.producer === undefined ? undefined : position.get(value.producer);
    if (at !== undefined) found.add(at);
  }
  return [...found];
}

function* valuesReadBy(node: Node): Generator<Value | undefined> {
  yield* node.inputs;
  for (const outer of subgraphsOf(node)) {
    for (const graph of graphsOf(outer)) {
      for (const inner of graph.nodes) yield* inner.inputs;
      yield* graph.outputs;
    }
  }
}

/** Kahn's algorithm with the smallest original position first. */
function sorted(nodes: readonly Node[], needs: readonly (readonly number[])[]): readonly Node[] {
  const missing = needs.map((list) => list.length);
  const users: number[][] = nodes.map(() => []);
  needs.forEach((list, index) => {
    for (const other of list) users[other]?.push(index);
  });
  const ready = new Heap();
  missing.forEach((count, index) => {
    if (count === 0) ready.push(index);
  });
  const order: Node[] = [];
  for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
    order.push(nodes[index] as Node);
    for (const user of users[index] ?? []) {
      const left = (missing[user] ?? 0) - 1;
      missing[user] = left;
      if (left === 0) ready.push(user);
    }
  }
  const stuck = nodes[missing.findIndex((count) => count > 0)];
  if (stuck !== undefined)
    fail('cyclic-graph', placeOf(stuck), 'the node needs its own output, directly or through others');
  return order;
}

/** A binary heap of numbers, smallest first. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((items[parent] as number) <= item) break;
      items[at] = items[parent] as number;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length > 0 && last !== undefined) this.#sink(last);
    return top;
  }

  #sink(item: number): void {
    const items = this.#items;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const child = (items[left + 1] ?? Number.POSITIVE_INFINITY) < (items[left] ?? 0) ? left + 1 : left;
      if (child >= items.length || (items[child] as number) >= item) break;
      items[at] = items[child] as number;
      at = child;
    }
    items[at] = item;
  }
}
