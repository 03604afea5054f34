/** Bun's half of the FFI seam. */
import { dlopen, type FFITypeOrString, ptr, read } from "bun:ffi";
import type { ArgumentType, Ffi, Functions, Signature } from "./ffi.ts";

const ARGUMENTS: Readonly<Record<ArgumentType, FFITypeOrString>> = {
  i32: "i32",
  u32: "u32",
  u64: "u64",
  bytes: "ptr",
};

export const openLibrary: Ffi["openLibrary"] = <const Signatures extends Readonly<Record<string, Signature>>>(
  path: string,
  signatures: Signatures,
) => {
  const { symbols }: { readonly symbols: unknown } = dlopen(
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

export const addressOf: Ffi["addressOf"] = (bytes) => BigInt(ptr(bytes));

export const readI32: Ffi["readI32"] = (address) => read.i32(pointer(address), 0);

/** Bun writes an address as a number; those of Linux processes have 47 bits. */
function pointer(address: bigint): Parameters<typeof read.i32>[0] {
  return Number(address) as Parameters<typeof read.i32>[0];
}
