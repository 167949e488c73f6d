/** Control characters, line separators, halves of characters, and characters that change the text direction. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]+/gu;

/** Names and messages from elsewhere (a file, a server) can neither move the cursor, nor start a line, nor change the text direction. */
export const printable = (text: string): string => text.replaceAll(UNPRINTABLE, ' ');

/** Characters of a message. What it quotes may be of any length. */
const MAX_LENGTH = 2_000;

/** A text as one line of bounded length, for messages that quote what somebody else wrote. */
export const messageLine = (text: string): string =>
  printable(text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text);
