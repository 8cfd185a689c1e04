/** Emitted graphs at every optimization level, and models calibrated on very little text. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixture } from '../fuzz/target.js';
import { LEVELS, largestDifference, logitsAt } from '../levels/logits.js';
import { type Bench, compileFlags } from './bench.js';
import { fault, RIGHT, type Row, sayOf, silent, type Try } from './verdict.js';

/**
 * Most difference of logits between levels, as a share of the largest: where weights are joined by nodes, activations stay float, and
 * where they are constants, they are rounded to 8 bits (measured .014). What is wrong differs by .5 and more.
 */
const LEVEL_LIMIT = 0.1;

type Form = (bench: Bench, folder: string) => readonly string[] | undefined;

const sliced =
  (...flags: readonly string[]): Form =>
  ({ set }, folder) => [
    ...['slice', join(set, 'model.json'), '--bits', '2', '-o', join(folder, 'q.onnx'), '--standalone', ...flags, '-q'],
  ];

const FORMS: Readonly<Record<string, Form>> = {
  nested: () => undefined,
  standalone: sliced(),
  qdq: sliced('--format', 'qdq'),
  mixed: ({ set }, folder) => ['mix', join(set, 'model.json'), '--avg-bits', '5', '-o', join(folder, 'q.onnx'), '-q'],
  deploy: ({ model, ids }, folder) => {
    const flags = compileFlags(ids).filter((each) => each !== '--bits' && each !== '8,4,2');
    return ['compile', model, '-o', folder, '--name', 'q', '--preset', 'deploy-int4', ...flags];
  },
};

const levels: Row = {
  group: 'level',
  name: 'logits at every optimization level of ONNX Runtime',
  tries: (bench) =>
    Object.entries(FORMS)
      .slice(0, bench.short ? 2 : 5)
      .map(
        ([form, args]): Try => ({
          name: form,
          run: async (folder) => {
            const asked = args(bench, folder);
            if (asked !== undefined) {
              const ran = await bench.run(asked, { temporary: join(folder, 'temporary') });
              if (ran.code !== 0) return fault(sayOf(ran));
            }
            const path =
              asked === undefined
                ? join(bench.set, 'model_int2.onnx')
                : join(folder, form === 'deploy' ? 'q_int4.onnx' : 'q.onnx');
            const logits = await Promise.all(LEVELS.map((level) => logitsAt(path, level)));
            const most = largestDifference(logits);
            return most <= LEVEL_LIMIT ? RIGHT : silent(`logits differ by ${most.toPrecision(3)} of their largest`);
          },
        }),
      ),
};

interface Scored {
  readonly candidates: readonly { readonly kl: number }[];
}

const fixtureModel = fixture('models/mistral-656k/model.onnx');
const tokenizer = ['--tokenizer', fixture('models/mistral-656k/tokenizer.json')];
const stories = fixture('text/stories-calibration.txt');
/** Times the divergence of the data-free model that a calibrated one may have: chance of the held-out text is far below. */
const TEXT_FACTOR = 1.5;

/** KL of each precision on held-out text after calibration on the first `characters`; data-free for none. */
async function heldKl(bench: Bench, folder: string, characters: number): Promise<readonly number[] | string> {
  const temporary = join(folder, 'temporary');
  const text = join(folder, `text-${characters}.txt`);
  writeFileSync(text, readFileSync(stories, 'utf8').slice(0, characters));
  const set = join(folder, `set-${characters}`);
  const how = characters === 0 ? ['--preset', 'data-free'] : ['--preset', 'best', '--text', text, ...tokenizer];
  const compiled = await bench.run(
    ['compile', fixtureModel, '-o', set, '--block', '32', '--bits', '8,4,2', ...how, '-q'],
    { temporary },
  );
  if (compiled.code !== 0) return sayOf(compiled);
  const graphs = [8, 4, 2].map((bits) => join(set, `model_int${bits}.onnx`));
  const held = ['--text', fixture('text/stories-excerpt.txt'), ...tokenizer, '--window', '128', '--windows', '24'];
  const scored = await bench.run(['eval', fixtureModel, ...graphs, ...held, '--json', '-q'], { temporary });
  return scored.code === 0 ? (JSON.parse(scored.stdout) as Scored).candidates.map(({ kl }) => kl) : sayOf(scored);
}

const littleText: Row = {
  group: 'text',
  name: 'calibration on little text is no worse than on none',
  tries: (bench) =>
    (bench.short ? [] : [40, 200, 3000]).map((characters) => ({
      name: `${characters} characters`,
      run: async (folder) => {
        const none = await heldKl(bench, folder, 0);
        const little = await heldKl(bench, folder, characters);
        if (typeof none === 'string') return fault(none);
        if (typeof little === 'string') return fault(little);
        const worse = [8, 4, 2].flatMap((bits, at) => {
          const [with_, without] = [little[at] as number, none[at] as number];
          return with_ > TEXT_FACTOR * without
            ? [`int${bits} ${with_.toPrecision(3)} against ${without.toPrecision(3)}`]
            : [];
        });
        return worse.length === 0 ? RIGHT : silent(`KL: ${worse.join(', ')}`);
      },
    })),
};

export const qualityRows: readonly Row[] = [levels, littleText];
