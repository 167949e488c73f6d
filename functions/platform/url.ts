/** The URL that a text is; `undefined` if it is none. `URL.canParse` of Node 24 accepts hosts that the constructor finds too long. */
export function parsedUrl(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
