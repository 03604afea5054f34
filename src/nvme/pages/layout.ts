/**
 * Layouts as tables: each field is a name, an offset and a type, and `readFields` reads them all. NVMe pages are
 * little endian throughout.
 */

export interface Field<Value> {
  /** The first byte after the field. */
  readonly end: number;
  read(page: DataView): Value;
}

export type Layout = Readonly<Record<string, Field<unknown>>>;

export type FieldsOf<Table extends Layout> = {
  readonly [Name in keyof Table]: Table[Name] extends Field<infer Value> ? Value : never;
};

export const u8 = (offset: number): Field<number> => ({
  end: offset + 1,
  read: (page) => page.getUint8(offset),
});

export const u16 = (offset: number): Field<number> => ({
  end: offset + 2,
  read: (page) => page.getUint16(offset, true),
});

export const u32 = (offset: number): Field<number> => ({
  end: offset + 4,
  read: (page) => page.getUint32(offset, true),
});

export const u64 = (offset: number): Field<bigint> => ({
  end: offset + 8,
  read: (page) => page.getBigUint64(offset, true),
});

export const u128 = (offset: number): Field<bigint> => ({
  end: offset + 16,
  read: (page) => {
    const low = page.getBigUint64(offset, true);
    const high = page.getBigUint64(offset + 8, true);
    return high === 0n ? low : (high << 64n) | low;
  },
});

/** `count` values of two bytes each. */
export const u16s = (offset: number, count: number): Field<readonly number[]> => ({
  end: offset + 2 * count,
  read: (page) => Array.from({ length: count }, (_, i) => page.getUint16(offset + 2 * i, true)),
});

/** ASCII padded with blanks or NULs, as `printable` gives it. */
export const text = (offset: number, size: number): Field<string> => ({
  end: offset + size,
  read: (page) => printable(new Uint8Array(page.buffer, page.byteOffset + offset, size)),
});

/** A view of a page where it lies, without a copy. */
export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** How many bytes a page must have for every field of the table to be in it. */
export const lengthOf = (layout: Layout): number =>
  Math.max(...Object.values(layout).map((field) => field.end));

/** Reads every field of a table. Throws a RangeError where the page ends before one does. */
export function readFields<Table extends Layout>(page: DataView, layout: Table): FieldsOf<Table> {
  const fields: Record<string, unknown> = {};
  for (const name in layout) fields[name] = layout[name]?.read(page);
  // The keys and types are those of the table by construction, which no type of a loop can say.
  return fields as FieldsOf<Table>;
}

/** Blanks and NULs trimmed off both ends; of what is left, every byte outside 0x20–0x7E becomes `?`. */
export function printable(bytes: Uint8Array): string {
  let start = 0;
  let end = bytes.length;
  while (start < end && isPadding(bytes[start])) start++;
  while (end > start && isPadding(bytes[end - 1])) end--;
  let characters = "";
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    characters += isPrintable(byte) ? String.fromCharCode(byte) : "?";
  }
  return characters;
}

export const isPrintable = (byte: number): boolean => byte >= 0x20 && byte <= 0x7e;

const isPadding = (byte: number | undefined): boolean => byte === 0x20 || byte === 0;
