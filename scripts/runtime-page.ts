/** The text of docs/runtimes.md, made from the table of facts; `npm run golden` writes it, a test compares it. */
import { FACTS, FORMS, type FormName, RUNTIMES, type RuntimeName, TARGETS } from '../src/recipe/index.js';
import { markdownTable } from './markdown.js';

const HEAD = `# Runtimes

What each runtime runs of what this tool writes, from which version on, and how that was found out. \`matquant inspect\` and model cards
print from the same table, and \`--target\` refuses what a target does not run.
`;

export function runtimePage(): string {
  const forms = Object.entries(FORMS) as readonly (readonly [FormName, (typeof FORMS)[FormName]])[];
  const runtimes = Object.entries(RUNTIMES) as readonly (readonly [RuntimeName, string])[];
  const since = (runtime: RuntimeName, form: FormName): string =>
    FACTS.find((fact) => fact.runtime === runtime && fact.form === form)?.since ?? 'no';
  const targets = Object.entries(TARGETS).map(([name, { summary, lookup }]) => [
    `\`${name}\``,
    summary,
    lookup === 'fused' ? 'GatherBlockQuantized' : 'standard operators',
  ]);
  const versions = forms.map(([form, { operator, attributes }]) => [
    operator,
    attributes,
    ...runtimes.map(([runtime]) => since(runtime, form)),
  ]);
  const facts = FACTS.map(({ runtime, form, since: version, measured }) => [
    RUNTIMES[runtime],
    `${FORMS[form].operator}, ${FORMS[form].attributes}`,
    version ?? 'no',
    measured,
  ]);
  return [
    HEAD,
    `## Targets\n\n${markdownTable(['`--target`', 'models run in', 'rows of a quantized embedding'], targets)}\n`,
    `## Oldest versions\n\n${markdownTable(['operator', 'form', ...runtimes.map(([, name]) => name)], versions)}\n`,
    `## Measurements\n\n${markdownTable(['runtime', 'form', 'from', 'measured with'], facts)}\n`,
  ].join('\n');
}
