/** One file out of a ZIP archive (APPNOTE 6.3, without ZIP64 and encryption): what the WikiText archive needs. */
import { inflateRawSync } from 'node:zlib';

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;

/** The contents of the entry whose name ends with `name`, or undefined where there is none or it is not intact. */
export function readZipEntry(archive: Buffer, name: string): Buffer | undefined {
  let end = archive.length - END_BYTES;
  while (end >= 0 && archive.readUInt32LE(end) !== END) end--;
  if (end < 0) return undefined;
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0 && archive.readUInt32LE(at) === ENTRY; left--) {
    const [nameBytes, extra, comment] = [28, 30, 32].map((field) => archive.readUInt16LE(at + field)) as [
      number,
      number,
      number,
    ];
    const found = archive.toString('utf8', at + 46, at + 46 + nameBytes);
    if (found.endsWith(name)) return contentsOf(archive, at);
    at += 46 + nameBytes + extra + comment;
  }
  return undefined;
}

function contentsOf(archive: Buffer, entry: number): Buffer | undefined {
  const method = archive.readUInt16LE(entry + 10);
  const packed = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const bytes = archive.subarray(start, start + packed);
  const contents = method === 0 ? bytes : inflateRawSync(bytes);
  return contents.length === archive.readUInt32LE(entry + 24) ? contents : undefined;
}
