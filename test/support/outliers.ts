/**
 * The same function as another export computes, with channels that are hard to quantize: every 32nd input of a feed-forward block
 * arrives `factor` times smaller and is multiplied by weights `factor` times larger. Ranges from the extremes waste most of their
 * levels on those channels; what learns a range or a scale gains by a factor, not by a few percent.
 */
import { executionOf } from '../../src/analysis/execution.js';
import { analyse } from '../../src/analysis/projections.js';
import { foldScale } from '../../src/emit/fold-scale.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { toFloat32 } from '../../src/onnx/ir/half.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { transpose } from '../../src/quant/pack.js';
import { findTrainBlocks, projectionsOf } from '../../src/train/blocks/block.js';
import { foldPlaces } from '../../src/train/blocks/fold-scale.js';
import { scaleNamesOf } from '../../src/train/blocks/learnables.js';
import { factorsOf, inverseOf, scaledWeights } from '../../src/train/blocks/transform.js';

export function writeOutliers(from: string, to: string, factor: number): void {
  const model = importModel(from);
  const rw = new Rewriter(model);
  const { blocks } = findTrainBlocks(executionOf(model.graph), analyse(model).projections);
  for (const block of blocks) {
    const { input, hidden } = scaleNamesOf(block.id);
    const spikes = (length: number): Float32Array =>
      Float32Array.from({ length }, (_, at) => (at % 32 === 0 ? Math.log(factor) : 0));
    const scales = new Map([
      [input, spikes(block.gate.k)],
      [hidden, spikes(block.down.k)],
    ]);
    for (const projection of projectionsOf(block)) {
      const { weight, k, n } = projection;
      const stored = toFloat32(weight.tensor.bytes(), 'float32');
      const rows = weight.layout === 'NK' ? stored : transpose(stored, k, n);
      const scaled = scaledWeights(rows, k, factorsOf(block, projection, scales));
      const values = weight.layout === 'NK' ? scaled : transpose(scaled, n, k);
      rw.setTensor(weight.source, float32s(values, weight.tensor.shape));
    }
    foldScale(rw, {
      id: block.id,
      places: foldPlaces(block) ?? [],
      inverse: inverseOf(block, scales) as Float32Array,
    });
  }
  exportModel(model, to);
}
