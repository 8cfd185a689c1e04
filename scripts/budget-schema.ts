/** The text of docs/matquant.budget.schema.json, made from the schema that checks budget files; `npm run golden` writes it. */
import { budgetJsonSchema } from '../src/index.js';

export const budgetSchemaText = (): string => `${JSON.stringify(budgetJsonSchema(), undefined, 2)}\n`;
