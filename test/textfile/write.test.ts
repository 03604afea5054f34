import { expect, test } from "bun:test";
import { gauge } from "../../src/metrics/descriptor.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { renderTextfile } from "../../src/textfile/write.ts";
import { recordingLog, sampleOf } from "../scrape/fakes.ts";
import { parseExposition } from "../support/exposition-parser.ts";

test("a series that two collectors give is in the file once, and the log says so", () => {
  const log = recordingLog();
  const body = renderTextfile([sampleOf("a", 1), sampleOf("a", 2), sampleOf("b", 3)], log);
  const [family, ...others] = parseExposition(body, "text");
  expect(others).toEqual([]);
  expect(family?.samples.map(({ labels, value }) => [labels["collector"], value])).toEqual([
    ["a", "1"],
    ["b", "3"],
  ]);
  expect(log.lines.map(({ level }) => level)).toEqual(["warn"]);
  expect(String(log.lines[0]?.fields["series"])).toContain("test_value");
});

test.each(["process_open_fds", "go_goroutines", "promhttp_requests", "node_time_seconds"])(
  "%s, which node_exporter exports itself, is not in the file",
  (name) => {
    const samples = new Samples();
    samples.add(gauge(name, "Exported by node_exporter", []), {}, 1);
    samples.add(gauge("ours", "Not exported by node_exporter", []), {}, 1);
    const names = parseExposition(renderTextfile([samples], recordingLog()), "text").map(({ name }) => name);
    expect(names).toEqual(["ours"]);
  },
);
