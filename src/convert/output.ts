/** Staged output for everyone outside the rooms of messages and files. */
export { staged, stagedFiles, stagedFilesAsync, stagedFolder } from '../proto/staging.js';
