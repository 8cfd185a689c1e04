/** How temporary folders and files are called: by their owner, so that nobody removes those of another, and no message shows them. */

/** In the middle of a name: `mq` and 8 hexadecimal digits of the machine, process id, start time of the process. */
export const OWNER_PATTERN: string = 'mq([0-9a-f]{8})-(\\d{1,10})-(\\d{1,20})';

/** A folder that a run works in: `matquant-KIND-OWNER-XXXXXX`. */
export const FOLDER_PATTERN: string = `matquant-[a-z]+-(${OWNER_PATTERN})-\\w{6}`;

/** What follows the name of an output that is not renamed yet: `.NAME.OWNER.DIGITS.tmp`. */
export const STAGED_PATTERN: string = `\\.(${OWNER_PATTERN})\\.[0-9a-f]{8}\\.tmp`;
