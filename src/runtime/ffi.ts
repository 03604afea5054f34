/**
 * Calls into shared libraries, the same under Bun and Deno: `bun-ffi.ts` and `deno-ffi.ts` have the same exports, and
 * each touches its runtime only when it is called. Calls are synchronous and block their thread.
 */
import * as bunFfi from "./bun-ffi.ts";
import * as denoFfi from "./deno-ffi.ts";

/** `bytes` is the address of the first byte of a Uint8Array, which must stay referenced as long as C uses it. */
export type ArgumentType = "i32" | "u32" | "u64" | "bytes";
export type ResultType = "i32" | "i64" | "u64";

export interface Signature {
  readonly args: readonly ArgumentType[];
  readonly returns: ResultType;
}

interface Values {
  readonly i32: number;
  readonly u32: number;
  readonly i64: bigint;
  readonly u64: bigint;
  readonly bytes: Uint8Array;
}

type ArgumentValues<Types extends readonly ArgumentType[]> = {
  -readonly [Index in keyof Types]: Values[Types[Index]];
};

/** What a library offers once it is open: a function for each signature, with its C types as JavaScript has them. */
export type Functions<Signatures extends Readonly<Record<string, Signature>>> = {
  readonly [Name in keyof Signatures]: (
    ...args: ArgumentValues<Signatures[Name]["args"]>
  ) => Values[Signatures[Name]["returns"]];
};

export interface Ffi {
  /** Throws where the library, or a function in it, is not there, or where FFI is not allowed. */
  openLibrary<const Signatures extends Readonly<Record<string, Signature>>>(
    path: string,
    signatures: Signatures,
  ): Functions<Signatures>;
  addressOf(bytes: Uint8Array): bigint;
  /** The 32-bit integer that stands at an address of this process. */
  readI32(address: bigint): number;
}

export const { openLibrary, addressOf, readI32 }: Ffi = "Deno" in globalThis ? denoFfi : bunFfi;
