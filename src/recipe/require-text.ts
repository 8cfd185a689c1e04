/** Recipes that need text. */
import { fail } from '../diagnostics.js';
import { METHODS, worksWithoutText } from './methods.js';
import type { Recipe } from './recipe.js';

/** Fails with `bad-usage` where a recipe needs text, or statistics of it, that are not there; called before any work begins. */
export function requireText(
  { method, distill, qat, train, prefix }: Recipe,
  { hasText, isCalibrated }: { readonly hasText: boolean; readonly isCalibrated: boolean },
): void {
  const needs = (what: string): never => fail('bad-usage', 'text', `${what} needs text`);
  if (!hasText && distill !== undefined) needs('Distillation');
  if (!hasText && (qat !== undefined || (train?.steps ?? 0) > 0)) needs('Training');
  if (!hasText && prefix !== undefined) needs('A quantized prefix');
  if (!isCalibrated && !worksWithoutText(METHODS[method])) {
    fail('bad-usage', 'text', `The method ${method} needs calibration text; the preset data-free works without`);
  }
}
