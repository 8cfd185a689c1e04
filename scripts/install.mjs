/** Finds out whether node_modules is what the lock file names, and installs it when it is not. Plain Node, no dependencies. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs a command in the root with nothing on stdin. Returns true when it succeeded. All output goes to our stdout, in order;
 * `quiet` drops the command's own stdout (Jest prints its JSON there and what people read on stderr).
 */
export function run(command, args, { quiet = false } = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', quiet ? 'ignore' : 1, 1] });
  if (error) console.log(`${command}: ${error.message}`);
  return status === 0;
}

/** Installs the locked packages unless they are there. Returns false when the installation failed. */
export function ensureInstalled() {
  if (isInstalled()) return true;
  console.log('installing the packages of package-lock.json');
  const npm = process.env.npm_execpath;
  const [command, ...args] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  return run(command, [...args, 'ci', '--ignore-scripts', '--no-audit', '--no-fund']);
}

/** npm keeps its own record of what it installed; optional packages (other platforms) may be absent from it. */
function isInstalled() {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = readPackages(join(root, 'package-lock.json'));
  const present = readPackages(record);
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional || present[path]?.version === version,
  );
}

const readPackages = (path) => JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
