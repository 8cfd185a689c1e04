import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { compile } from '../../src/compile/compile.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { gemma3 } from '../support/stories.js';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

/** The fields of in-toto Statement v1 (spec/v1/statement.md) and SLSA Provenance v1 (slsa.dev/spec/v1.0/provenance), as they publish them. */
const resource = {
  type: 'object',
  required: ['name', 'digest'],
  properties: {
    name: { type: 'string' },
    digest: {
      type: 'object',
      required: ['sha256'],
      properties: { sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' } },
    },
  },
};
const time = { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$' };
const statement = {
  type: 'object',
  additionalProperties: false,
  required: ['_type', 'subject', 'predicateType', 'predicate'],
  properties: {
    _type: { const: 'https://in-toto.io/Statement/v1' },
    subject: { type: 'array', minItems: 1, items: resource },
    predicateType: { const: 'https://slsa.dev/provenance/v1' },
    predicate: {
      type: 'object',
      additionalProperties: false,
      required: ['buildDefinition', 'runDetails'],
      properties: {
        buildDefinition: {
          type: 'object',
          additionalProperties: false,
          required: ['buildType', 'externalParameters'],
          properties: {
            buildType: { type: 'string', pattern: '^(https://|urn:)' },
            externalParameters: { type: 'object' },
            internalParameters: { type: 'object' },
            resolvedDependencies: { type: 'array', items: resource },
          },
        },
        runDetails: {
          type: 'object',
          additionalProperties: false,
          required: ['builder'],
          properties: {
            builder: {
              type: 'object',
              additionalProperties: false,
              required: ['id'],
              properties: { id: { type: 'string', pattern: '^(https://|urn:)' }, version: { type: 'object' } },
            },
            metadata: {
              type: 'object',
              additionalProperties: false,
              properties: { startedOn: time, finishedOn: time },
            },
          },
        },
      },
    },
  },
};

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

it('compile --provenance names every file that was made and read, in the published structure', async () => {
  const recipe = parseRecipe({ method: 'rtn', bits: [8] }, 'test');
  const provenance = join(folder, 'statement.json');
  const asked = { ...COMPILE, model: gemma3, output: join(folder, 'out'), recipe, provenance };
  const { files } = await compile(asked);
  const written = JSON.parse(readFileSync(provenance, 'utf8')) as {
    readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256: string } }[];
    readonly predicate: {
      readonly buildDefinition: { readonly resolvedDependencies: unknown; readonly externalParameters: unknown };
    };
  };
  const check = new Ajv2020().compile(statement);
  expect([check(written), check.errors]).toEqual([true, null]);
  expect(written.subject.map(({ name, digest }) => [name, digest.sha256])).toEqual(
    files.map(({ path }) => [basename(path), sha256(path)]),
  );
  const { resolvedDependencies, externalParameters } = written.predicate.buildDefinition;
  expect(resolvedDependencies).toEqual(
    [gemma3, `${gemma3}.data`].map((path) => ({ name: basename(path), digest: { sha256: sha256(path) } })),
  );
  expect(externalParameters).toMatchObject({ recipe: { method: 'rtn', bits: [8] }, seed: 0 });
  // Its own statement is replaced, that of another is not.
  await compile(asked);
  writeFileSync(provenance, '{"mine":1}');
  await expect(compile(asked)).rejects.toMatchObject({ code: 'output-exists' });
  rmSync(join(folder, 'out'), { recursive: true });
  await expect(compile(asked)).rejects.toMatchObject({ code: 'output-exists' });
  expect(existsSync(join(folder, 'out'))).toBe(false);
}, 60_000);
