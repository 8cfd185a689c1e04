/** The version of everything that results depend on. */
import { fail } from '../diagnostics.js';
import { runtimeVersion } from '../runtime/ort.js';
import { TOOL } from '../version.js';
import type { Plan } from './plan-types.js';

/** Raised when units, their names or their results change within a version of the tool. */
const PLAN_REVISION = 1;

type Versions = Pick<Plan, 'tool' | 'revision' | 'runtime'>;

/** The versions of this process. */
export const madeBy = (): Versions => ({ tool: TOOL, revision: PLAN_REVISION, runtime: runtimeVersion() });

/** Fails with `plan-version` where another version made the plan: its results would be others. */
export function requireVersion(plan: Versions, folder: string): void {
  const [made, own] = [sentenceOf(plan), sentenceOf(madeBy())];
  if (made !== own)
    fail('plan-version', folder, `The plan was made by ${made}, and this is ${own}: its results would differ`);
}

const sentenceOf = ({ tool, revision, runtime }: Versions): string =>
  `${tool} with plan revision ${revision} and ONNX Runtime ${runtime}`;
