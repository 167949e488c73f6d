/** The URL that a text is; `undefined` if it is none. `URL.canParse` of Node 24 accepts hosts that the constructor finds too long. */
export function parsedUrl(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

/** A URL, or a segment of one, as a message may quote it: a user before its host may have a password. */
export const withoutUser = (url: string): string => url.replace(/^.*@/s, '(user)@');
