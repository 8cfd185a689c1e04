/** Mixes of precisions: size against quality of all that was tried, what each layer costs, and the bits of the mixes of the set. */
import { byteSize, significant } from '../../format.js';
import type { ReportData, ReportModel, ReportSweep, UnitDamage } from './data.js';
import type { Child, Html } from './html.js';
import { bitsPlot } from './plot-layers.js';
import { sensitivityPlots } from './plot-sensitivity.js';
import { sweepPlot } from './plot-sweep.js';
import { details, paragraph, plots, type Section, widePlot } from './section.js';
import { number, table, text } from './table.js';

/** Undefined when nothing was mixed or measured. */
export async function mixesSection(data: ReportData): Promise<Section | undefined> {
  const body: Child[] = [await sweepsOf(data.sweeps), await damagesOf(data.sensitivities), await bitsOf(data)].filter(
    (part) => part !== undefined,
  );
  return body.length === 0 ? undefined : { id: 'mixes', title: 'Mixes of precisions', body };
}

async function sweepsOf(sweeps: readonly ReportSweep[]): Promise<Child | undefined> {
  if (sweeps.length === 0) return undefined;
  const figures: Html[] = [];
  for (const sweep of joined(sweeps)) figures.push(await sweepPlot(sweep));
  return [
    paragraph(
      'Uniform precisions, shapes that follow the depth of the model, and searched mixes, scored on text that the search did not use. The line joins the points that no other point beats in both size and KL.',
    ),
    plots(...figures),
    sweeps.map((sweep) => details(`All ${sweep.points.length} mixes of ${sweep.name}`, sweepTable(sweep))),
  ];
}

/** Sweeps of the same kind on the same text are one plot. */
function joined(sweeps: readonly ReportSweep[]): readonly ReportSweep[] {
  const groups = new Map<string, ReportSweep>();
  for (const sweep of sweeps) {
    const key = [sweep.per, sweep.reference, sweep.positions].join(' ');
    const other = groups.get(key);
    const names = new Set(other?.points.map((point) => point.name));
    const points = [...(other?.points ?? []), ...sweep.points.filter((point) => !names.has(point.name))];
    groups.set(key, { ...sweep, points });
  }
  return [...groups.values()];
}

function sweepTable({ name, per, positions, points }: ReportSweep): Html {
  const columns = [
    text('mix'),
    number('bits per code'),
    number('stored bits'),
    number('size'),
    number('KL'),
    number('Δ NLL'),
    number('mixes run'),
    number('time'),
  ];
  const rows = points.map((point) => [
    point.name,
    significant(point.averageBits),
    significant(point.storedBitsPerWeight),
    byteSize(point.bytes),
    `${significant(point.kl)} ± ${significant(point.klStandardError, 2)}`,
    significant(point.deltaNll).replace('-', '−'),
    point.evaluations,
    `${point.seconds.toFixed(0)} s`,
  ]);
  return table(`${name}: one precision per ${per}, ${positions} positions`, columns, rows);
}

async function damagesOf(damages: readonly UnitDamage[]): Promise<Child | undefined> {
  if (damages.length === 0) return undefined;
  const bits = [...new Set(damages.map((each) => each.bits))].sort((a, b) => a - b);
  const units = [...new Set(damages.map(({ unit }) => unit))];
  const rows = units.map((unit) => [
    unit,
    ...bits.map((precision) => {
      const found = damages.find((each) => each.unit === unit && each.bits === precision);
      return found === undefined ? '–' : significant(found.kl);
    }),
  ]);
  const columns = [text('sliced alone'), ...bits.map((precision) => number(`int${precision}`))];
  return [
    paragraph('Increase of KL, in nats per position, when only one layer or projection has a lower precision.'),
    plots(...(await sensitivityPlots(damages))),
    details(`All ${damages.length} measurements`, table('KL of one slice alone', columns, rows)),
  ];
}

async function bitsOf({ models, projections, provenance }: ReportData): Promise<Child | undefined> {
  const mixes = models.filter(({ bits }) => typeof bits !== 'number');
  if (mixes.length === 0) return undefined;
  const figures: Html[] = [];
  for (const mix of mixes) figures.push(widePlot(await bitsPlot(mix, projections)));
  const layers = mixes[0]?.layers.map(({ layer }) => layer) ?? [];
  const rows = layers.map((layer, at) => [
    layer < 0 ? 'other' : String(layer),
    ...mixes.map((mix) => significant(mix.layers[at]?.bits ?? 0)),
  ]);
  const columns = [text('layer'), ...mixes.map(({ name }) => number(name))];
  return [
    searchTable(mixes, provenance.facts['mixes']),
    figures,
    details('Averages of the layers', table('Average bits per layer', columns, rows)),
  ];
}

/** How the mixes of the set were found, as `mix` noted it in the manifest; those of a bits file are not noted. */
function searchTable(mixes: readonly ReportModel[], noted: unknown): Child {
  const notes = recordOf(noted);
  const rows = mixes.flatMap(({ name, averageBits }) => {
    const { method, per, kl, estimate, evaluations, sensitivityEvaluations } = recordOf(notes[name]);
    if (method === undefined) return [];
    const expected = typeof kl === 'number' ? kl : estimate;
    return [
      [
        name,
        significant(averageBits),
        String(method),
        String(per),
        typeof expected === 'number' ? significant(expected) : '–',
        typeof kl === 'number' ? 'measured' : 'sum of estimates',
        Number(evaluations ?? 0) + Number(sensitivityEvaluations ?? 0),
      ],
    ];
  });
  const columns = [
    text('mix'),
    number('bits per code'),
    text('method'),
    text('one precision per'),
    number('KL while searching'),
    text('known by'),
    number('mixes run'),
  ];
  return rows.length > 0 && table('How the mixes were found', columns, rows);
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
