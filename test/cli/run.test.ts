import { describe, expect, it } from '@jest/globals';
import { type Command, defineCommand } from '../../src/cli/command.js';
import { fail } from '../../src/diagnostics.js';
import { runHere } from '../support/command-line.js';

/** A verb whose positional says what happens. */
const act: Command = defineCommand({
  usage: 'act <what>',
  summary: 'Does what it is told',
  positionals: { what: { type: 'string', describe: 'What to do', required: true } },
  options: {
    level: { type: 'string', describe: 'A level' },
    colour: { type: 'string', describe: 'A colour', choices: ['red', 'blue'], default: 'red' },
    file: { type: 'array', describe: 'Files' },
  },
  examples: [['act greet', 'says hello']],
  async run({ what, level, colour, file }, { log, signal }) {
    if (what === 'fail') fail('not-onnx', 'a.onnx', 'This is no model');
    if (what === 'crash') throw new TypeError('undefined is\n not a function');
    if (what === 'wait') signal.throwIfAborted();
    log.info('working');
    const data = { what, level, colour, file };
    return { data, text: `did ${what}`, ...(what === 'miss' && { exitCode: 3 }) };
  },
});

const run = (...args: readonly string[]): ReturnType<typeof runHere> => runHere(args, [act]);

describe('runCommandLine', () => {
  it('prints the text of an outcome on stdout and notes on stderr', async () => {
    expect(await run('act', 'greet')).toEqual({ code: 0, stdout: 'did greet\n', stderr: 'working\n' });
  });

  it('prints one line of JSON and nothing else with --json --quiet', async () => {
    const { code, stdout, stderr } = await run('act', 'greet', '--json', '--quiet', '--file', 'a', '--file', 'b');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ what: 'greet', colour: 'red', file: ['a', 'b'] });
    expect(stdout.trimEnd()).not.toContain('\n');
  });

  it('ends with 3 when a threshold is missed', async () => {
    expect((await run('act', 'miss')).code).toBe(3);
  });

  it('says a compiler error in one sentence and ends with 2', async () => {
    const { code, stdout, stderr } = await run('act', 'fail', '--json');
    expect(code).toBe(2);
    expect(stderr).toBe('This is no model [not-onnx] at a.onnx; pass a .onnx file exported from the model.\n');
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'not-onnx',
        at: 'a.onnx',
        message: 'This is no model',
        remedy: 'pass a .onnx file exported from the model',
      },
    });
  });

  it('calls anything else a bug, ends with 1, and shows the stack only with --debug', async () => {
    const short = await run('act', 'crash');
    expect(short.code).toBe(1);
    expect(short.stderr).toMatch(/^This is a bug in matquant: undefined is not a function; .*\n$/);
    expect((await run('act', 'crash', '--debug')).stderr).toContain('run.test');
  });

  it('ends with 130 when it was interrupted, whatever was thrown', async () => {
    const interrupted = await runHere(['act', 'wait'], [act], AbortSignal.abort());
    expect(interrupted.code).toBe(130);
    expect(interrupted.stderr).toMatch(/^Interrupted/);
  });

  it.each([
    [['atc', 'x'], 'There is no command atc; did you mean act?'],
    [['fly'], 'There is no command fly; the commands are act'],
    [[], 'A command is needed'],
    [['act'], 'the usage is matquant act <what>'],
    [['act', 'x', '--levle', '3'], 'There is no option --levle; did you mean --level?'],
    [['act', 'x', '--level'], 'The option --level needs a value'],
    [['act', 'x', '--level', '1', '--level', '2'], 'given more than once [bad-usage] at --level'],
    [['act', 'x', '--colour', 'green'], '--colour cannot be green; the choices are red, blue'],
    [['act', 'x', 'y'], 'Unexpected argument y'],
  ])('refuses %j', async (args, sentence) => {
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it('prints help and the version on stdout', async () => {
    const help = await run('act', '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('--level');
    expect((await run('--version')).stdout).toBe('1.2.3\n');
  });
});
