/** What makes a set the set it is: the bytes of its data file, whatever it is called and however far it is cut. */
import { createHash } from 'node:crypto';
import type { WrittenSet } from './set-writer.js';

type Digests = Pick<WrittenSet, 'restSha256' | 'sections'>;

const ID_LENGTH = 8;

/** SHA-256 over the digests of the rest and of all sections: the same for a set and for every smaller model cut from it. */
export function digestOfSet({ restSha256, sections }: Digests): string {
  return createHash('sha256')
    .update([restSha256, ...sections.map(({ sha256 }) => sha256)].join())
    .digest('hex');
}

/** The beginning of the digest, which names the data file. */
export const idOf = (set: Digests): string => digestOfSet(set).slice(0, ID_LENGTH);

/** `NAME.<id>.data`. */
export const dataName = (stem: string, id: string): string => `${stem}.${id}.data`;

/** `NAME` of `NAME.<id>.data`, or undefined for the name of another file. */
export const stemOfData = (file: string): string | undefined => /^(.+)\.[0-9a-f]{8}\.data$/.exec(file)?.[1];
