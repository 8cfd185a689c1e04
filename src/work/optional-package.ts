/** Packages that are not installed with this one: loaded when they are asked for, and by nobody else. */
import { type ErrorCode, fail } from '../diagnostics.js';

/** A package by its name. Fails with `code` where it is not installed; `what` says who needs it. */
export async function optionalPackage<T>(name: string, code: ErrorCode, what: string): Promise<T> {
  try {
    const module = (await import(name)) as T & { readonly default?: T };
    return module.default ?? module;
  } catch (error) {
    const { code: reason, message } = error as NodeJS.ErrnoException;
    if (/MODULE_NOT_FOUND$/.test(reason ?? '') && message.includes(`'${name}'`))
      return fail(code, name, `${what} the package ${name}, which is not installed`);
    throw error;
  }
}
