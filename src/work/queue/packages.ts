/** The packages of queues. They are optional: loaded when a queue is asked for, and by nobody else. */
import { optionalPackage } from '../optional-package.js';
import type { QueueAddress } from './address.js';

/** What is used of the package `pg`. */
export interface PostgresPackage {
  readonly Pool: new (options: object) => PostgresPool;
}

export interface PostgresPool {
  connect(): Promise<{
    query(text: string, values?: unknown[]): Promise<{ rows: never[]; rowCount: number | null }>;
    release(): void;
  }>;
  query(text: string, values?: unknown[]): Promise<{ rows: never[]; rowCount: number | null }>;
  end(): Promise<void>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

type BullMq = typeof import('bullmq');

/** BullMQ. Error code `queue-package` where it or the driver of the server is not installed. */
export async function loadBullMq(server: QueueAddress['server']): Promise<BullMq> {
  const bullMq = await optional<BullMq>('bullmq');
  if (server === 'redis') await optional('ioredis');
  return bullMq;
}

/** The driver of PostgreSQL. */
export const loadPostgres = (): Promise<PostgresPackage> => optional<PostgresPackage>('pg');

/** A package by its name; error code `queue-package` where it is not installed. */
export const optional = <T>(name: string): Promise<T> => optionalPackage<T>(name, 'queue-package', '`queue` needs');
