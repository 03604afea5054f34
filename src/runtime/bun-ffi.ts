/** Bun's half of the FFI seam. */

import type * as BunFfi from "bun:ffi";
import process from "node:process";
import type { ArgumentType, Ffi, Functions, Signature } from "./ffi.ts";

/**
 * Neither a static import, which Deno refuses to load, nor a dynamic one, which in a Worker of a binary compiled with
 * --bytecode never resolves (Bun 1.4.5).
 */
function bunFfi(): typeof BunFfi {
  const module = process.getBuiltinModule("bun:ffi");
  if (!isFfi(module)) throw new Error("this Bun has no bun:ffi");
  return module;
}

const isFfi = (module: object | undefined): module is typeof BunFfi =>
  module !== undefined && "dlopen" in module;

const ARGUMENTS: Readonly<Record<ArgumentType, BunFfi.FFITypeOrString>> = {
  i32: "i32",
  u32: "u32",
  u64: "u64",
  bytes: "ptr",
};

export const openLibrary: Ffi["openLibrary"] = <const Signatures extends Readonly<Record<string, Signature>>>(
  path: string,
  signatures: Signatures,
) => {
  const { symbols }: { readonly symbols: unknown } = bunFfi().dlopen(
    path,
    Object.fromEntries(
      Object.entries(signatures).map(([name, { args, returns }]) => [
        name,
        { args: args.map((type) => ARGUMENTS[type]), returns },
      ]),
    ),
  );
  // Nothing at run time tells what a C function takes: the signatures are the only source of these types.
  return symbols as Functions<Signatures>;
};

export const addressOf: Ffi["addressOf"] = (bytes) => BigInt(bunFfi().ptr(bytes));

export const readI32: Ffi["readI32"] = (address) => bunFfi().read.i32(pointer(address), 0);

/** Bun writes an address as a number; those of Linux processes have 47 bits. */
function pointer(address: bigint): Parameters<typeof BunFfi.read.i32>[0] {
  return Number(address) as Parameters<typeof BunFfi.read.i32>[0];
}
