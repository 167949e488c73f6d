import * as z from 'zod/mini';

/** A text, with what docs/schemas says of it. */
export const described = (description: string) => z.string().check(z.describe(description));
