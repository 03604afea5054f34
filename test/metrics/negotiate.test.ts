import { expect, test } from "bun:test";
import fc from "fast-check";
import { negotiate } from "../../src/metrics/exposition.ts";

const PROMETHEUS_2_42 =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_2_WITHOUT_OPENMETRICS = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
const PROMETHEUS_3 =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const PROMETHEUS_3_PROTOBUF =
  "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

test.each<[string, string | null]>([
  ["Prometheus 2.42's header", PROMETHEUS_2_42],
  ["Prometheus 3's header", PROMETHEUS_3],
  ["Prometheus 3's header with protobuf, which we have not", PROMETHEUS_3_PROTOBUF],
  ["the bare type", "application/openmetrics-text"],
  ["a quoted version", 'application/openmetrics-text; version="1.0.0"; charset=utf-8'],
  ["capitals and blanks", " Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.9 , text/plain;q=0.8"],
  ["the type itself beside a wildcard of the same quality", "application/openmetrics-text, */*"],
  ["text that is ruled out beside a wildcard", "text/plain;q=0, */*"],
  ["a wildcard of its half", "application/*"],
])("OpenMetrics answers %s", (_, accept) => {
  expect(negotiate(accept)).toBe("openmetrics");
});

test.each<[string, string | null]>([
  ["no header", null],
  ["an empty header", ""],
  ["curl's wildcard", "*/*"],
  ["a browser", BROWSER],
  ["Prometheus without OpenMetrics", PROMETHEUS_2_WITHOUT_OPENMETRICS],
  ["a lower quality for OpenMetrics", "application/openmetrics-text;q=0.4, text/plain;q=0.5"],
  ["OpenMetrics ruled out", "application/openmetrics-text;q=0"],
  ["an unknown version of OpenMetrics", "application/openmetrics-text;version=2.0.0, text/plain;q=0.1"],
  ["an unknown version of OpenMetrics alone", "application/openmetrics-text;version=0.0.1"],
  ["both at the same quality", "application/openmetrics-text, text/plain"],
  ["a type that we have not", "application/json"],
  ["everything ruled out", "*/*;q=0"],
  ["senseless text", ";;=,,q=;q,/"],
])("the text format answers %s", (_, accept) => {
  expect(negotiate(accept)).toBe("text");
});

test("a quality that is no number counts as 1", () => {
  expect(negotiate("application/openmetrics-text;q=high, text/plain;q=0.9")).toBe("openmetrics");
});

test("any header gives one of the two formats", () => {
  const piece = fc.constantFrom(
    "text/plain",
    "application/openmetrics-text",
    "*/*",
    "q=",
    "0.5",
    ";",
    ",",
    "=",
    '"',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join("")),
      ),
      (accept) => {
        expect(["text", "openmetrics"]).toContain(negotiate(accept));
      },
    ),
  );
});
