/**
 * Loaded before a measured program (`node --import`): when it ends, its use of the processor and its peak of memory go to file
 * descriptor 3. The peak comes from /proc because `getrusage` also counts what the parent held at the fork.
 */
import { readFileSync, writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    writeSync(3, JSON.stringify({ user: user / 1e6, system: system / 1e6, peakRss: Number(peak) * 1024 }));
  });
}
