/** Deno's half of the FFI seam; it needs --allow-ffi. */
import type { ArgumentType, Ffi, Functions, Signature } from "./ffi.ts";

/** What is used here of Deno's own API (https://docs.deno.com/api/deno/ffi). */
interface DenoFfi {
  dlopen(
    path: string,
    symbols: Readonly<Record<string, { parameters: readonly string[]; result: string }>>,
  ): { readonly symbols: unknown };
  readonly UnsafePointer: {
    of(bytes: Uint8Array): object | null;
    value(pointer: object | null): bigint;
    create(address: bigint): object | null;
  };
  readonly UnsafePointerView: new (pointer: object) => { getInt32(offset?: number): number };
}

declare const Deno: DenoFfi;

const ARGUMENTS: Readonly<Record<ArgumentType, string>> = {
  i32: "i32",
  u32: "u32",
  u64: "u64",
  bytes: "buffer",
};

export const openLibrary: Ffi["openLibrary"] = <const Signatures extends Readonly<Record<string, Signature>>>(
  path: string,
  signatures: Signatures,
) => {
  const { symbols } = Deno.dlopen(
    path,
    Object.fromEntries(
      Object.entries(signatures).map(([name, { args, returns }]) => [
        name,
        { parameters: args.map((type) => ARGUMENTS[type]), result: returns },
      ]),
    ),
  );
  // Nothing at run time tells what a C function takes: the signatures are the only source of these types.
  return symbols as Functions<Signatures>;
};

export const addressOf: Ffi["addressOf"] = (bytes) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));

export const readI32: Ffi["readI32"] = (address) => {
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null) throw new Error("cannot read at address 0");
  return new Deno.UnsafePointerView(pointer).getInt32(0);
};
