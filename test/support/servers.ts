/** Redis and PostgreSQL of this machine, each started in a folder of its own on a free port. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { until } from './until.js';

/** A server that can be stopped and started again. */
export interface Server {
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const POSTGRES = ['15', '16', '17', '18', '14', '13'].map((version) => `/usr/lib/postgresql/${version}/bin`);

/** Folder of the programs of PostgreSQL, or undefined. */
export const postgresFolder: string | undefined = POSTGRES.find((folder) => existsSync(join(folder, 'initdb')));
/** Path of redis-server, or undefined. */
export const redisPath: string | undefined = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'].find(existsSync);

/** A Redis that keeps nothing: started again, it is empty. */
export async function redisServer(folder: string): Promise<Server> {
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  return server(`redis://127.0.0.1:${port}`, port, 'SIGTERM', () =>
    spawn(redisPath as string, args, { stdio: 'ignore' }),
  );
}

/** A PostgreSQL whose connections are cut when it is stopped; what it was told stays. */
export async function postgresServer(folder: string): Promise<Server> {
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  const user = ownerOf(folder);
  const program = (name: string): string => join(postgresFolder as string, name);
  const data = join(folder, 'data');
  const made = spawnSync(program('initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    ...user,
    cwd: folder,
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(made.stderr);
  const flags = ['listen_addresses=127.0.0.1', 'fsync=off', 'shared_buffers=16MB', `unix_socket_directories=${folder}`];
  const args = ['-D', data, '-p', String(port), ...flags.flatMap((flag) => ['-c', flag])];
  return server(`postgres://postgres:secret@127.0.0.1:${port}/postgres`, port, 'SIGINT', () =>
    spawn(program('postgres'), args, { ...user, cwd: folder, stdio: 'ignore' }),
  );
}

/** PostgreSQL refuses to run as root. */
function ownerOf(folder: string): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout);
  const [uid, gid] = [id('-u'), id('-g')];
  chownSync(folder, uid, gid);
  return { uid, gid };
}

function server(url: string, port: number, signal: 'SIGTERM' | 'SIGINT', run: () => ChildProcess): Server {
  let child: ChildProcess | undefined;
  return {
    url,
    start: async () => {
      const started = run();
      child = started;
      await until(`a server on port ${port}`, () => {
        if (started.exitCode !== null) throw new Error(`The server ended with exit code ${started.exitCode}`);
        return answers(port);
      });
    },
    stop: async () => {
      const ended = child;
      child = undefined;
      if (ended === undefined || ended.exitCode !== null) return;
      await new Promise((resolve) => {
        ended.once('exit', resolve);
        ended.kill(signal);
      });
    },
  };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true));
    socket.once('error', end(false));
  });

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { readonly port: number };
      probe.close(() => resolve(port));
    });
  });
