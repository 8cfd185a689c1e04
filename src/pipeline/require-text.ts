/** What a recipe learns from has to be there. */
import { fail } from '../diagnostics.js';
import type { Recipe } from './recipe/recipe.js';

/** Methods that measure need text or statistics of it; say so before any work begins. */
export function requireText(
  recipe: Recipe,
  { hasText, isCalibrated }: { readonly hasText: boolean; readonly isCalibrated: boolean },
): void {
  const free = ['data-free', 'rtn', 'sliced-minmax'];
  if (!hasText && recipe.distill !== undefined) fail('bad-usage', '--text', 'Distillation needs text');
  const trains = recipe.qat !== undefined || (recipe.train?.steps ?? 0) > 0;
  if (!hasText && trains) fail('bad-usage', '--text', 'Training needs text');
  if (!hasText && recipe.prefix !== undefined) fail('bad-usage', '--text', 'A quantized prefix needs text');
  if (!isCalibrated && !free.includes(recipe.method)) {
    fail('bad-usage', '--text', `The method ${recipe.method} needs calibration text; --preset data-free works without`);
  }
}
