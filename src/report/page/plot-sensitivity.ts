/** Heat maps of what each layer or projection costs when it alone is sliced. */
import type { UnitDamage } from './data.js';
import type { Html } from './html.js';
import { heatPlot } from './plot-layers.js';

/** Precisions whose maps by projection are drawn: above them nothing is left to choose. */
const HIGHEST_DRAWN = 4;

/** Layers by precision where layers were measured; projections by role, a map for each low precision, where those were. */
export async function sensitivityPlots(damages: readonly UnitDamage[]): Promise<readonly Html[]> {
  const layers = damages.filter(({ role }) => role === undefined);
  const projections = damages.filter(
    ({ role, layer, bits }) => role !== undefined && layer >= 0 && bits <= HIGHEST_DRAWN,
  );
  const figures: Html[] = [];
  if (layers.length > 0) {
    const cells = layers.map(({ layer, bits, kl }) => ({ layer, row: `int${bits}`, value: kl }));
    const label =
      'Heat map of layers and precisions: darker cells mean a larger KL when only this layer has the lower precision.';
    figures.push(await heatPlot(cells, 'row', 'Sensitivity of the layers', label));
  }
  for (const bits of [...new Set(projections.map((each) => each.bits))].sort((a, b) => a - b)) {
    const own = projections.filter((each) => each.bits === bits);
    const cells = own.map(({ layer, role = '', kl }) => ({ layer, row: role, value: kl }));
    const label = `Heat map of layers and roles: darker cells mean a larger KL when only this projection has ${bits} bits.`;
    figures.push(await heatPlot(cells, 'all', `Sensitivity of the projections at int${bits}`, label));
  }
  return figures;
}
