/** At which ports a pod answers when it is asked at its own address. */
import { parseListenAddress } from "../../config/listen-address.ts";

/** Each once, in the order of the addresses; none for sockets, for ports of the kernel's choice and for other hosts. */
export function listenPorts(addresses: readonly string[]): readonly number[] {
  const ports = addresses.flatMap((text) => {
    const address = parseListenAddress(text);
    if (address?.kind !== "tcp" || address.port === 0) return [];
    return ALL_ADDRESSES.has(address.host ?? "::") ? [address.port] : [];
  });
  return [...new Set(ports)];
}

const ALL_ADDRESSES = new Set(["::", "0.0.0.0"]);
