import type { PassPage } from '../../../passes/pages.js';
import { type Command, defineCommand } from '../command.js';
import { paragraphs, table } from '../render.js';

export const explainCommand: Command = defineCommand({
  usage: 'explain <pass>',
  summary: 'Explain one pass: what it does, what it keeps, and its options',
  positionals: { pass: { type: 'string', describe: 'Name of a pass; see matquant passes', required: true } },
  options: {},
  examples: [],
  async run({ pass }) {
    const { explainPass } = await import('../../../passes/pages.js');
    const page = explainPass(pass);
    return { data: page, text: render(page) };
  },
});

function render({ name, summary, keeps, promise, material, options }: PassPage): string {
  const rows = options.map((option) => [option.name, JSON.stringify(option.default) ?? 'required', option.describe]);
  return paragraphs(
    `${name}: ${summary}`,
    `keeps ${keeps}: ${promise}${material === undefined ? '' : `\ntakes ${material}`}`,
    rows.length === 0 ? '' : table([{ title: 'option' }, { title: 'default' }, { title: 'meaning' }], rows),
  );
}
