import type { PassPage } from '../../compile/index.js';
import { type Command, defineCommand } from '../command.js';
import { paragraphs, table } from '../render.js';

export const explainCommand: Command = defineCommand({
  usage: 'explain <pass>',
  summary: 'Explain one pass: what it does, needs, gives and keeps, and its options',
  positionals: { pass: { type: 'string', describe: 'Name of a pass; see matquant passes', required: true } },
  options: {},
  examples: [],
  async run({ pass }) {
    const { explainPass } = await import('../../compile/index.js');
    const page = explainPass(pass);
    return { data: page, text: render(page) };
  },
});

function render({ name, summary, keeps, needs, gives, options }: PassPage): string {
  const facts = (names: readonly string[]): string => (names.length === 0 ? 'nothing' : names.join(', '));
  const rows = options.map((option) => [option.name, JSON.stringify(option.default) ?? 'required', option.describe]);
  return paragraphs(
    `${name}: ${summary}`,
    `needs ${facts(needs)}\ngives ${facts(gives)}\nkeeps ${keeps}`,
    rows.length === 0 ? '' : table([{ title: 'option' }, { title: 'default' }, { title: 'meaning' }], rows),
  );
}
