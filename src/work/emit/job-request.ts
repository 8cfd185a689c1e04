/** What the jobs of a plan are made from. */
import { isHubName, isHubText } from '../../source/index.js';
import type { Plan } from '../plan-types.js';

export interface JobRequest {
  readonly plan: Plan;
  /** Folder of the plan on this machine, absolute; or its address on an object store. */
  readonly folder: string;
  /** Whether it is an address. */
  readonly isStored: boolean;
  /** The same as seen from the current folder, with slashes. */
  readonly path: string;
  /** Jobs at a time. */
  readonly workers: number;
  /** Processors of each. */
  readonly threads: number;
  /** Container image with the command. */
  readonly image: string;
  /** Volume claim with the plan's folder and the files beside it. */
  readonly claim: string;
  /** Secret with variables of the object store. */
  readonly secret: string;
  /** Version of the package. */
  readonly version: string;
}

/** First line of every text, behind what its kind begins with. */
export const MADE_BY = '# matquant emit:';

/** The process may take a tenth more than it is told. */
const MARGIN = 1.1;
const MEBIBYTE = 2 ** 20;

/** Whole mebibytes. */
export const mebibytes = (bytes: number): number => Math.ceil(bytes / MEBIBYTE);

/** Mebibytes that a scheduler lets a job have: what the plan was made for, and the margin. */
export const limitOf = ({ plan }: JobRequest): number => mebibytes(plan.options.memoryBytes * MARGIN);

/** Whether the plan downloads its model or its text. */
export function usesHub({ options: { model, text } }: Plan): boolean {
  const files = text !== undefined && 'files' in text ? text.files : [];
  return isHubName(model) || files.some(isHubText);
}
