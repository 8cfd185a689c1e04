/** The table of gradient rules: one row per operator, total over what the differentiable graphs contain after expansion. */
import type { GradRule } from './emitter.js';
import { ELEMENTWISE_RULES } from './rules-elementwise.js';
import { LINEAR_RULES } from './rules-linear.js';
import { SHAPE_RULES } from './rules-shape.js';

export const RULES: Readonly<Record<string, GradRule>> = { ...ELEMENTWISE_RULES, ...LINEAR_RULES, ...SHAPE_RULES };
