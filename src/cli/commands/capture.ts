import { fail } from '../../diagnostics.js';
import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { calibrationOf } from '../compile-flags.js';
import { fileFlag, machineFlags, overwriteFlag, runFlags, statisticsFlag, textFlags } from '../options.js';
import { recipeFlags, recipeOf } from '../recipe-flags.js';
import { duration } from '../render.js';

export const captureCommand: Command = defineCommand({
  usage: 'capture <model>',
  summary: 'Capture activation statistics of a text for compile --statistics, or add several',
  positionals: { model: { type: 'string', describe: help('capture', 'model'), required: true } },
  options: {
    out: { type: 'string', alias: 'o', describe: help('capture', 'output'), required: true },
    ...fileFlag,
    ...overwriteFlag,
    ...statisticsFlag,
    ...recipeFlags,
    ...textFlags,
    ...machineFlags,
    ...runFlags,
  },
  examples: [
    ['capture model.onnx -o stats/c4 --text c4.jsonl --tokenizer tokenizer.json', 'from text'],
    ['capture model.onnx -o stats/all --statistics stats/c4 --statistics stats/code', 'two captures as one'],
    ['compile model.onnx -o out --statistics stats/c4 --statistics stats/code', 'or both in place'],
  ],
  async run(values, context) {
    const calibration = calibrationOf(values);
    const { text, statistics } = calibration;
    if (text === undefined && statistics === undefined)
      fail('bad-usage', '--text', 'Give --text with --tokenizer, or --ids, or --statistics to add up');
    if (text !== undefined && statistics !== undefined)
      fail('bad-usage', '--statistics', 'Give text to capture or statistics to add up, not both');
    const { captureStatistics } = await import('../../solve/index.js');
    const result = await captureStatistics(
      { ...calibration, output: values.out, recipe: recipeOf(values, true) },
      context,
    );
    const { folder, tokens, groups, seconds } = result;
    return { data: result, text: `${folder}: ${groups} inputs over ${tokens} tokens in ${duration(seconds)}.` };
  },
});
