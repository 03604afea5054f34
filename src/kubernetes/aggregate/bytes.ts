/** What the text format is made of, as bytes. */

export const NEWLINE = 0x0a;

const TAB = 0x09;
const BLANK = 0x20;

export const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

export const isLabelStart = (byte: number): boolean =>
  (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f;

export const isLabelByte = (byte: number): boolean => isLabelStart(byte) || isDigit(byte);

/** Names of metrics may have a colon. */
export const isNameByte = (byte: number): boolean => isLabelByte(byte) || byte === 0x3a;

export function skipBlanks(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] === BLANK || bytes[at] === TAB) at++;
  return at;
}

/** Whether what stands from `start` to `end` is `text`. */
export function isText(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}
