/** The model that emitted graphs are compared with: the source, in a form that the runtime at hand can run. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../files/temporary.js';
import type { Context } from '../log.js';
import { exportModel } from '../onnx/convert/export.js';
import { importModel } from '../onnx/convert/import.js';
import type { Model } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { computeInFloat32, computesIn } from '../onnx/rewrite/widen-arithmetic.js';
import type { Recipe } from '../recipe/index.js';

/** A path to open, and how to let it go. */
export interface Reference {
  readonly path: string;
  close(): void;
}

/**
 * The source itself; for a bfloat16 source that was compiled to compute in float32, a copy that does so too. Undefined, with a
 * warning, where the emitted graphs compute in bfloat16, which ONNX Runtime has no operators for on a processor.
 */
export function referenceOf(
  source: string,
  { compute }: Pick<Recipe, 'compute'>,
  { log }: Context,
): Reference | undefined {
  const model = importModel(source, { functions: 'inline' });
  if (!computesIn(model, 'bfloat16')) return { path: source, close: () => undefined };
  if (compute === 'keep') {
    log.warn(
      'The model computes in bfloat16, which cannot be run here, so the graphs were not compared with it; a recipe with "compute": "float32" gives graphs that run on every processor.',
    );
    return undefined;
  }
  computeInFloat32(new Rewriter(model));
  return temporaryModel(model, 'reference');
}

/** A model as a file in a temporary folder of a kind, until it is closed. */
export function temporaryModel(model: Model, kind: string): Reference {
  const folder = temporaryFolder(kind);
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    return { path: exportModel(model, join(folder, `${kind}.onnx`)).path, close };
  } catch (error) {
    close();
    throw error;
  }
}
