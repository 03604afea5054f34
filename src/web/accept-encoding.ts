/** Whether the client takes gzip, as `Accept-Encoding` tells (RFC 9110 section 12.5.3). */
export function acceptsGzip(header: string | null): boolean {
  let any = false;
  for (const part of (header ?? "").split(",")) {
    const [coding = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const accepted = weight === undefined || Number(weight.slice(2)) > 0;
    if (coding === "gzip" || coding === "x-gzip") return accepted;
    if (coding === "*") any = accepted;
  }
  return any;
}
