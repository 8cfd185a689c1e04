/** Prints what the finder sees in each model given: one row per file, and with --all every projection and refusal. */

import type { ModelAnalysis } from '../src/analysis/projection.js';
import { analyse } from '../src/analysis/projections.js';
import { importModel } from '../src/onnx/convert/import.js';
import { verify } from '../src/onnx/ir/verify.js';

const paths = process.argv.slice(2).filter((each) => !each.startsWith('--'));
const all = process.argv.includes('--all');

/** `gate 4, up 4, …` in a fixed order of roles. */
function countRoles({ projections }: ModelAnalysis): string {
  const roles = ['gate', 'up', 'gate_up', 'down', 'qkv', 'q', 'k', 'v', 'o', 'head'] as const;
  const counts = roles.map((role) => [role, projections.filter((each) => each.role === role).length] as const);
  return counts.flatMap(([role, count]) => (count > 0 ? [`${role} ${count}`] : [])).join(', ');
}

function countRefusals({ refusals }: ModelAnalysis): string {
  const codes = [...new Set(refusals.map(({ code }) => code))];
  return codes.map((code) => `${code} ${refusals.filter((each) => each.code === code).length}`).join(', ') || 'none';
}

function print(path: string): void {
  const model = importModel(path);
  const start = performance.now();
  const analysis = analyse(model);
  const took = Math.round(performance.now() - start);
  for (const { at, message } of verify(model)) console.log(`  ! ${at}: ${message}`);
  const { embedding } = analysis;
  const table =
    embedding === undefined ? 'no embedding' : `[${embedding.vocabulary}, ${embedding.hidden}] head ${embedding.head}`;
  console.log(
    `${path} | layers ${analysis.layers} | ${countRoles(analysis)} | ${analysis.activation ?? '-'} | ${table} | refused: ${countRefusals(analysis)} | ${took} ms`,
  );
  if (all) printAll(analysis);
}

function printAll({ projections, refusals }: ModelAnalysis): void {
  for (const { id, k, n, group, weight, sites } of projections) {
    const forms = sites.map(
      ({ node, alpha, walk }) =>
        `${node.op}${alpha === 1 ? '' : `*${alpha}`}${walk.map((step) => `<${step.op}`).join('')} ${node.name}`,
    );
    console.log(`  ${id} [${k}, ${n}] ${weight.layout} ${weight.source.name} in ${group}: ${forms.join('; ')}`);
  }
  for (const { at, code, reason, role, layer } of refusals)
    console.log(`  - ${at} (${layer ?? ''} ${role ?? ''}) ${code}: ${reason}`);
}

for (const path of paths) print(path);
