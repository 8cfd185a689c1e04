/** The files of model, text and statistics that go with a plan on an object store: workers have nothing but its address. */
import { dirname, join } from 'node:path';
import { filesOfStatistics } from '../../capture/index.js';
import type { CompileInput, Job } from '../../compile/index.js';
import { isFile } from '../../files/file-state.js';
import { hashFile } from '../../files/hash-file.js';
import { dataPaths } from '../../onnx/convert/data-locations.js';
import { embeddingBeside } from '../../runtime/embedding-file.js';
import { hintFiles } from '../../runtime/hints.js';
import { isHubName, isHubText } from '../../source/index.js';
import type { CarriedFile } from './plan-store.js';

/** A text that the model wrote for the plan, under the name that the plan has for it. */
export function selfFile(source: string, path: string): CarriedFile {
  const { sha256, before } = hashFile(source);
  return { source, path, bytes: before?.bytes ?? 0, sha256 };
}

/**
 * Everything that `asked` names by a path, with what belongs to it, each once and watched by `job.inputs`. Models and texts of the hub stay
 * there: each machine downloads them.
 */
export async function carriedFiles(
  asked: Pick<CompileInput, 'model' | 'text' | 'statistics'> & { readonly for?: unknown },
  job: Job,
  at: (path: string) => string,
): Promise<readonly CarriedFile[]> {
  const sources = [
    ...(isHubName(asked.model) ? [] : modelFiles(job, asked.for !== undefined)),
    ...textPaths(asked.text),
    ...(asked.statistics ?? []).flatMap(filesOfStatistics),
  ].filter(isFile);
  for (const path of sources) job.inputs.add(path);
  const digests = await job.inputs.digests([...new Set(sources)]);
  const named = new Map(
    digests.map(({ path, bytes, sha256 }) => [at(path), { source: path, path: at(path), bytes, sha256 }]),
  );
  return [...named.values()];
}

/** A model with its data files and everything beside it that is read; for packages, graphs that run beside it too. */
function modelFiles({ options: { folder } }: Job, isPackaged: boolean): readonly string[] {
  const { graph, configs, tokenizer, chatTemplate, notices, card, parts = [] } = folder;
  const beside = [embeddingBeside(graph), ...(isPackaged ? parts : [])].filter((path) => path !== undefined);
  const texts = [tokenizer, chatTemplate, card].filter((path) => path !== undefined);
  return [
    ...[graph, ...beside].flatMap((path) => [path, ...dataPaths(path)]),
    ...hintFiles(graph),
    ...Object.values(configs),
    ...texts,
    ...notices,
  ];
}

function textPaths(text: CompileInput['text']): readonly string[] {
  if (text === undefined) return [];
  if ('ids' in text) return [text.ids];
  const { files, tokenizer } = text;
  const own = tokenizer === undefined ? [] : [tokenizer, join(dirname(tokenizer), 'tokenizer_config.json')];
  return [...files.filter((file) => !isHubText(file) && file !== 'self'), ...own];
}
