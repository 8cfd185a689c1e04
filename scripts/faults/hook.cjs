/**
 * Loaded before a command (`node --require`): ends its process with SIGKILL before or after the Nth rename, link or sync of a file.
 * FAULT=7:before names the instant. FAULT_LOG names a file that lists the calls, one a line: number, call, target.
 */
const { appendFileSync, readlinkSync } = require('node:fs');
const { isMainThread } = require('node:worker_threads');

const [at, side] = (process.env.FAULT ?? '').split(':');
const log = process.env.FAULT_LOG;
let calls = 0;

/** Notes a call; gives what to do before and after it. */
function step(name, target) {
  const number = ++calls;
  if (log) appendFileSync(log, `${number} ${name} ${target}\n`);
  const kill = (when) => {
    if (number !== Number(at) || side !== when) return;
    process.kill(process.pid, 'SIGKILL');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
  };
  return { before: () => kill('before'), after: () => kill('after') };
}

function pathOf(descriptor) {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return String(descriptor);
  }
}

function wrapSync(owner, name, targetOf) {
  const real = owner[name];
  owner[name] = (...args) => {
    const { before, after } = step(name, targetOf(args));
    before();
    const result = real.apply(owner, args);
    after();
    return result;
  };
}

function wrapAsync(owner, name, targetOf) {
  const real = owner[name];
  owner[name] = async (...args) => {
    const { before, after } = step(name, targetOf(args));
    before();
    const result = await real.apply(owner, args);
    after();
    return result;
  };
}

if (isMainThread && (at || log)) {
  const fs = require('node:fs');
  const promises = require('node:fs/promises');
  wrapSync(fs, 'renameSync', ([, to]) => to);
  wrapSync(fs, 'linkSync', ([, to]) => to);
  wrapSync(fs, 'fsyncSync', ([descriptor]) => pathOf(descriptor));
  wrapAsync(promises, 'rename', ([, to]) => to);
  wrapAsync(promises, 'link', ([, to]) => to);
  require('node:module').syncBuiltinESMExports();
}
