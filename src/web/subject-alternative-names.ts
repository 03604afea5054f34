/**
 * The subject alternative names of a certificate, read out of its DER. The text that the runtimes make of them joins
 * them with commas, which a name may hold too.
 *
 * RFC 5280 section 4.2.1.6; the encoding is X.690's.
 */
import { isIP } from "node:net";

/** id-ce-subjectAltName, 2.5.29.17, as an OBJECT IDENTIFIER. */
const SUBJECT_ALT_NAME = [0x06, 0x03, 0x55, 0x1d, 0x11];
const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const BOOLEAN = 0x01;
const EXTENSIONS = 0xa3;

/** GeneralName's context tags. */
const RFC822_NAME = 0x81;
const DNS_NAME = 0x82;
const URI = 0x86;
const IP_ADDRESS = 0x87;

/** DNS names, mail addresses, URIs and IP addresses (as `canonicalIp` writes them). Empty if the bytes are no certificate. */
export function subjectAlternativeNames(der: Uint8Array): string[] {
  const names: string[] = [];
  const certificate = first(elements(der), SEQUENCE);
  const toBeSigned = certificate && first(elements(certificate), SEQUENCE);
  const wrapped = toBeSigned && first(elements(toBeSigned), EXTENSIONS);
  const extensions = wrapped && first(elements(wrapped), SEQUENCE);
  for (const extension of extensions === undefined ? [] : elements(extensions)) {
    if (!SUBJECT_ALT_NAME.every((byte, index) => extension.content[index] === byte)) continue;
    const value = elements(extension.content.subarray(SUBJECT_ALT_NAME.length)).find(
      ({ tag }) => tag !== BOOLEAN,
    );
    const general = value?.tag === OCTET_STRING ? first(elements(value.content), SEQUENCE) : undefined;
    for (const { tag, content } of general === undefined ? [] : elements(general)) {
      if (tag === DNS_NAME || tag === RFC822_NAME || tag === URI)
        names.push(Buffer.from(content).toString("latin1"));
      if (tag === IP_ADDRESS) names.push(ipText(content));
    }
  }
  return names;
}

/** `2001:DB8::0:1` → `2001:db8::1`; what is no IP address stays as it is. */
export function canonicalIp(text: string): string {
  return isIP(text) === 6 ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text;
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const first = (found: readonly Element[], tag: number): Uint8Array | undefined =>
  found.find((element) => element.tag === tag)?.content;

/** The elements that stand behind each other; stops where the encoding ends early. */
function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    at += 2;
    if (length >= 0x80) {
      const octets = length - 0x80;
      if (octets === 0 || octets > 4) break;
      length = 0;
      for (let i = 0; i < octets; i++) length = length * 256 + (bytes[at + i] ?? 0);
      at += octets;
    }
    if (at + length > bytes.length) break;
    found.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: bytes.length / 2 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return canonicalIp(groups.join(":"));
}
