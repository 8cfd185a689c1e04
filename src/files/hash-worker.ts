/** The thread that takes digests of large files while the work goes on. */
import { parentPort } from 'node:worker_threads';
import { hashFile } from './hash-file.js';

parentPort?.on('message', (path: string) => {
  try {
    parentPort?.postMessage(hashFile(path));
  } catch {
    parentPort?.postMessage({ path, sha256: '', before: undefined, after: undefined });
  }
});
