/** What a block is trained on: its own output over rows of its input, or the output of each projection under its Gram matrix. */
import type { Execution } from '../analysis/execution.js';
import type { TrainingRequest } from '../autodiff/index.js';
import { hessianOf, type Statistics } from '../capture/index.js';
import type { Model } from '../onnx/ir/graph.js';
import type { Random } from '../random.js';
import type { Stop } from './block-walk.js';
import { projectionsOf } from './blocks/block.js';
import { blockRequest, type Student } from './blocks/block-graph.js';
import { gramRequest } from './blocks/gram-graph.js';
import type { Term } from './blocks/objective.js';
import { type Batches, rowBatches, WHOLE } from './blocks/train.js';

/** A block to train; without rows it is trained under Gram matrices. */
export type BlockToTrain = Pick<Stop, 'block' | 'segment'> & Partial<Pick<Stop, 'rows'>>;

export interface BlockTask {
  readonly request: TrainingRequest;
  readonly batches: Batches;
}

export async function blockTask(
  model: Model,
  execution: Execution,
  { block, rows }: BlockToTrain,
  student: Student,
  terms: readonly Term[],
  statistics: Statistics | undefined,
  text: { readonly batch: number; readonly random: Random },
): Promise<BlockTask> {
  if (rows !== undefined) {
    const request = blockRequest(model, execution, block, student, terms, rows.student !== undefined);
    return { request, batches: rowBatches(block, rows, text.batch, text.random) };
  }
  const grams = new Map<string, Float32Array>();
  for (const group of new Set(projectionsOf(block).map((each) => each.group)))
    if (statistics !== undefined) grams.set(group, Float32Array.from(hessianOf(await statistics.load(group))));
  return { request: gramRequest(model, block, student, terms, grams), batches: WHOLE };
}
