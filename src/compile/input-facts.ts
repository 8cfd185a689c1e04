/** What the manifest says of the files that a set was made from. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { dataLocations } from '../onnx/convert/data-locations.js';
import { filesOfModel } from '../onnx/convert/import.js';
import type { SetManifest } from '../set/index.js';
import { textFiles } from '../text/index.js';
import type { Job } from './open.js';

/** The source: its graph file, and all files it was read from. */
export async function sourceFacts({ source, inputs, options }: Job): Promise<SetManifest['source']> {
  const digests = await inputs.digests([...new Set([options.model, ...filesOfModel(source.model)])]);
  const names = namesOf(options.model);
  const files = digests.map(({ path, bytes, sha256 }) => ({ name: names.get(path) ?? basename(path), bytes, sha256 }));
  return { name: basename(options.model), sha256: files[0]?.sha256, files };
}

/** Files of a model under their own names: in the cache of the hub, a data file is a link to one that is named by its digest. */
function namesOf(model: string): ReadonlyMap<string, string> {
  const paths = [model, ...dataLocations(model).map((location) => join(dirname(model), location))];
  return new Map(paths.flatMap((path) => [path, realpathSync(path)].map((each) => [each, basename(path)] as const)));
}

/** The text: where it comes from, the digests of its files, and how many of its tokens were learnt from. */
export async function textFacts({ options, inputs }: Job, tokens: number): Promise<Readonly<Record<string, unknown>>> {
  const { text, textSource } = options;
  if (text === undefined) return {};
  const digests = await inputs.digests('ids' in text ? textFiles(text) : text.files);
  return { text: { source: textSource, sha256: digests.map(({ sha256 }) => sha256), tokens } };
}
