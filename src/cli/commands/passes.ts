import { type Command, defineCommand } from '../command.js';
import { table } from '../render.js';

export const passesCommand: Command = defineCommand({
  usage: 'passes',
  summary: 'List the graph passes',
  positionals: {},
  options: {},
  examples: [],
  async run() {
    const { listPasses } = await import('../../../passes/pages.js');
    const passes = listPasses();
    const rows = passes.map(({ name, summary }) => [name, summary]);
    return { data: { passes }, text: table([{ title: 'pass' }, { title: 'does' }], rows) };
  },
});
