/** How temporary folders and files are called: by their owner, so that nobody removes those of another, and no message shows them. */

/** In the middle of a name: `mq` and 8 hexadecimal digits of the machine, process id, start time of the process. */
export const OWNER_PATTERN: string = 'mq([0-9a-f]{8})-(\\d{1,10})-(\\d{1,20})';

/** A folder that a run works in: `matquant-KIND-OWNER-XXXXXX`. */
export const FOLDER_PATTERN: string = `matquant-[a-z]+-(${OWNER_PATTERN})-\\w{6}`;

/** What follows the name of an output that is not renamed yet: `.NAME.OWNER.DIGITS.tmp`. */
export const STAGED_PATTERN: string = `\\.(${OWNER_PATTERN})\\.[0-9a-f]{8}\\.tmp`;

const TEMPORARY: RegExp = new RegExp(`[/\\\\]${FOLDER_PATTERN}[/\\\\]?`);
const STAGED: RegExp = new RegExp(`(^|[\\s'"\`/\\\\])\\.([^\\s/\\\\]{1,255})${STAGED_PATTERN}\\b`, 'g');
/** Longer than any path; a file may say anything where a path belongs. */
const LONGEST = 4096;

/**
 * A text in which files of this run go by the name they would have in the end: nobody can look at a temporary path when the message
 * is read. Takes time in proportion to the text.
 */
export function withoutTemporary(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST / 8)}…` : text;
  const plain = short.includes('.tmp') ? short.replaceAll(STAGED, '$1$2') : short;
  if (!plain.includes('matquant-')) return plain;
  const words = plain.split(/([\s'"`]+)/);
  return words.map((word) => word.slice(afterTemporary(word))).join('');
}

/** Where a path goes on behind a temporary folder. */
function afterTemporary(word: string): number {
  const found = TEMPORARY.exec(word);
  return found === null ? 0 : found.index + found[0].length;
}
