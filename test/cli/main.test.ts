import { describe, expect, it } from '@jest/globals';
import { program } from '../../src/cli/program.js';
import { runChild, runHere } from '../support/command-line.js';

const VERBS = [
  'inspect',
  'capture',
  'compile',
  'lambda',
  'slice',
  'mix',
  'sweep',
  'append',
  'eval',
  'verify',
  'compare',
  'report',
  'passes',
  'explain',
  'plan',
  'worker',
  'status',
  'merge',
  'emit',
];

describe('the command', () => {
  it('prints its version, as a process of its own', () => {
    expect(runChild(['--version'])).toEqual({ code: 0, stdout: `${program.version}\n`, stderr: '' });
  });

  it('ends with 2 and one sentence for a missing file', () => {
    const { code, stdout, stderr } = runChild(['inspect', 'no-such-file.onnx']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^[^\n]*\[file-missing\][^\n]*\n$/);
  });
});

describe('the program', () => {
  const run = (args: readonly string[]): ReturnType<typeof runHere> => runHere(args, program.commands);

  it('lists every verb', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const verb of VERBS) expect(stdout).toContain(`matquant ${verb}`);
  });

  it.each(VERBS)('explains %s', async (verb) => {
    const { code, stdout } = await run([verb, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^matquant ${verb}`));
  });

  it('fits all help into 80 columns', async () => {
    for (const verb of [[], ...VERBS.map((name) => [name])]) {
      const { stdout } = await run([...verb, '--help']);
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    }
  });

  it.each([
    [['compile', 'm.onnx', '-o', 'x', '--text', 'a.txt'], '--tokenizer'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'best'], '--text'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'bset'], 'There is no preset bset'],
    [['compile', 'm.onnx', '-o', 'x', '--memory', 'much'], '--memory'],
    [['compile', 'm.onnx', '-o', 'x', '--bits', '9'], '[recipe]'],
    [['mix', 's.json', '--avg-bits', '2', '--target-size', '1MB'], 'exactly one'],
    [['verify', 'a.onnx', 'b.onnx'], 'at least one threshold'],
    [['verify', 'a.onnx', 'b.onnx', '--max-kl', '1'], '--text'],
    [['eval', 'a.onnx', 'b.onnx'], '--text'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'data-free', '--prefix', 'quantized'], 'takes no quantized prefix'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'deploy-int8', '--prefix', 'quantized'], 'none of the precisions 8'],
    [['compile', 'm.onnx', '-o', 'x', '--statistics', 's', '--preset', 'best', '--prefix', 'quantized'], 'needs text'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'baseline-rtn', '--token-weights', 'fisher'], 'takes no statistics'],
    [['compile', 'm.onnx', '-o', 'x', '--capture', 'float64', '--token-weights', 'fisher'], 'in float64'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'tuned'], 'needs text'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'paper-omniquant-4', '--statistics', 's'], 'needs text'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'paper-qat-2', '--statistics', 's'], 'needs text'],
    [['capture', 'm.onnx', '-o', 'x'], '--statistics to add up'],
    [['capture', 'm.onnx', '-o', 'x', '--ids', 'a', '--statistics', 's'], 'not both'],
    [['compile', 'm.onnx', '-o', 'x', '--threads', '100000'], '[bad-usage] at --threads'],
    [['compile', 'm.onnx', '-o', 'x', '--threads', '100000'], '--threads is 100000, and takes a number of at most 256'],
    [['compile', 'm.onnx', '-o', 'x', '--memory', '1'], '[bad-usage] at --memory'],
    [['compile', 'm.onnx', '-o', 'x', '--name', '../x'], '--name is "../x", and takes a file name'],
    [['compile', 'm.onnx', '-o', ''], '--out is "", and takes a path'],
    [['compile', 'm.onnx', '-o', 'x', '--bits', '4,4'], 'bits is [4,4], and takes each precision once'],
    [['compile', 'm.onnx', '-o', 'x', '--preset', 'best+', '--statistics', 's'], '[bad-usage] at --text'],
    [['inspect', ''], 'model is "", and takes a path'],
    [['mix', 's.json', '--avg-bits', '99'], '--avg-bits is 99, and takes a number of at most 8'],
    [['mix', 's.json', '--avg-bits', '3', '--bits', '4,4'], '--bits is [4,4], and takes each precision once'],
    [['mix', 's.json', '--avg-bits', '3', '--ids', 'i', '--threads', '300'], '[bad-usage] at --threads'],
    [['sweep', 's.json', '--ids', 'i', '--avg-bits', '9'], '--avg-bits is 9'],
    [['slice', 's.json', '--bits', '9', '-o', 'x'], '--bits is 9, and takes a number of at most 8'],
    [['slice', 's.json', '--bits', '4', '-o', 'x', '--slice', 'paper'], 'write them with --standalone'],
    [
      ['verify', 'a.onnx', 'b.onnx', '--min-top1', '2', '--ids', 'i'],
      '--min-top1 is 2, and takes a number of at most 1',
    ],
    [['lambda', 'm.onnx', '--preset', 'paper-matquant-gemma'], '--text'],
    [['lambda', 'm.onnx', '--preset', 'paper-matquant-gemma', '--ids', 'a', '--lambdas', '1,1'], '2 weights for 3'],
  ])('refuses %j before any work', async (args, part) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(part);
  });
});
