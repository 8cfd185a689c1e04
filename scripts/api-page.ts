/** The text of docs/api.md, made from declaration files and option schemas; `npm run golden` writes it, a test compares it. */
import { join } from 'node:path';
import { z } from 'zod';
import { OPTIONS, type Verb } from '../src/options/schemas.js';
import { type Declaration, exportsOf } from './api/declarations.js';
import { optionRows } from './api/option-rows.js';

const HEAD = `# API reference

Made from the doc comments in \`src\` by \`scripts/api-page.ts\`; \`npm run golden\` renews it. The package is ESM only and has its own types.

- [\`onnx-matquant\`](#onnx-matquant): the commands of \`matquant\` as functions, for Node.
- [\`onnx-matquant/web\`](#onnx-matquantweb): a reader of nested sets for browsers.

Every function takes one object of options, and a \`Context\` for messages, progress and cancellation that may be left out. A function that cannot do what it is asked throws a
\`CompilerError\` with a \`code\`; an option that does not exist or has a wrong value gives \`bad-usage\`. Paths are file paths, sizes are bytes, and KL and NLL are in nats per position.
`;

/** The schema of each function's options. */
const SCHEMAS: Readonly<Record<string, Verb>> = {
  inspect: 'inspect',
  captureStatistics: 'capture',
  compile: 'compile',
  searchLambda: 'lambda',
  slice: 'slice',
  mix: 'mix',
  sweep: 'sweep',
  append: 'append',
  evaluate: 'evaluate',
  evaluateTasks: 'tasks',
  verify: 'verify',
  report: 'report',
};

/** Exported names that have no doc comment, and types that exported declarations name but the package does not export. */
export interface Gaps {
  readonly undocumented: readonly string[];
  readonly unexported: readonly string[];
}

export interface ApiPage {
  readonly text: string;
  readonly gaps: Gaps;
}

/** @param dist folder of the compiled package */
export function apiPage(dist: string): ApiPage {
  const node = exportsOf(join(dist, 'src/index.d.ts'));
  const web = exportsOf(join(dist, 'src/web/index.d.ts'));
  return {
    text: [HEAD, entryOf('onnx-matquant', node), entryOf('onnx-matquant/web', web)].join('\n'),
    gaps: {
      undocumented: [...node, ...web].filter(({ doc }) => doc === '').map(({ name }) => name),
      unexported: [...missingOf(node), ...missingOf(web)],
    },
  };
}

function missingOf(exported: readonly Declaration[]): readonly string[] {
  const names = new Set(exported.map(({ name }) => name));
  const missing = exported.flatMap(({ name, mentions }) =>
    mentions.filter((each) => !names.has(each)).map((each) => `${each} (in ${name})`),
  );
  return [...new Set(missing)];
}

const GROUPS: readonly (readonly [string, readonly Declaration['kind'][]])[] = [
  ['Functions', ['function']],
  ['Classes and values', ['class', 'const']],
  ['Types', ['interface', 'type']],
];

function entryOf(title: string, exported: readonly Declaration[]): string {
  const sections = GROUPS.map(([heading, kinds]) => {
    const members = exported.filter(({ kind }) => kinds.includes(kind)).sort((a, b) => (a.name < b.name ? -1 : 1));
    return members.length === 0 ? '' : `### ${heading} of \`${title}\`\n\n${members.map(memberOf).join('\n')}`;
  });
  return [`## ${title}\n`, ...sections.filter((section) => section !== '')].join('\n');
}

function memberOf({ name, kind, doc, text }: Declaration): string {
  const verb = kind === 'function' ? SCHEMAS[name] : undefined;
  const options = verb === undefined ? [] : [`${tableOf(OPTIONS[verb])}\n`];
  return [`#### ${name}\n`, ...(doc === '' ? [] : [`${doc}\n`]), `\`\`\`ts\n${text}\n\`\`\`\n`, ...options].join('\n');
}

function tableOf(schema: z.ZodObject): string {
  const rows = optionRows(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as object);
  return ['| option | values | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
