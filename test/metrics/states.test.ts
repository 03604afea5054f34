import { describe, expect, test } from "bun:test";
import { gauge } from "../../src/metrics/descriptor.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { StateLabel } from "../../src/metrics/states.ts";

const DOOR = new StateLabel("state", ["shut", "open", "ajar"]);
const DOORS = gauge("door_state", "State of the door", ["house", "state"]);

function lines(fill: (samples: Samples) => void) {
  const set = new Samples();
  fill(set);
  const { body, samples, dropped } = expose([set], "text");
  const [, , ...series] = new TextDecoder().decode(body).trimEnd().split("\n");
  return { series, samples, dropped };
}

const OF_A = [
  'door_state{house="a",state="ajar"} 0',
  'door_state{house="a",state="open"} 1',
  'door_state{house="a",state="shut"} 0',
];

describe("states", () => {
  test("are one series each, by name, of which one is 1", () => {
    expect(lines((set) => set.addStates(DOORS, { house: "a" }, DOOR.only("open")))).toEqual({
      series: OF_A,
      samples: 3,
      dropped: 0,
    });
  });

  test("can be counted", () => {
    expect(
      lines((set) => set.addStates(DOORS, { house: "a" }, DOOR.count(["shut", "ajar", "shut"]))).series,
    ).toEqual([
      'door_state{house="a",state="ajar"} 1',
      'door_state{house="a",state="open"} 0',
      'door_state{house="a",state="shut"} 2',
    ]);
  });

  test("need no other label", () => {
    const alone = gauge("gate_state", "State of the gate", ["state"]);
    expect(lines((set) => set.addStates(alone, {}, DOOR.only("shut"))).series).toEqual([
      'gate_state{state="ajar"} 0',
      'gate_state{state="open"} 0',
      'gate_state{state="shut"} 1',
    ]);
  });

  test("are put in order with the labels beside them", () => {
    const { series } = lines((set) => {
      for (const house of ["c", "a", "b"]) set.addStates(DOORS, { house }, DOOR.only("open"));
    });
    expect(series).toEqual(
      ["a", "b", "c"].flatMap((house) => OF_A.map((line) => line.replace('"a"', `"${house}"`))),
    );
  });

  test.each([["before"], ["behind"]])("that are there already, %s them, are left out", (where) => {
    const { series, dropped } = lines((set) => {
      if (where === "before") set.add(DOORS, { house: "a", state: "open" }, 1);
      set.addStates(DOORS, { house: "a" }, DOOR.only("open"));
      if (where === "behind") set.add(DOORS, { house: "a", state: "shut" }, 1);
    });
    expect(series).toEqual(OF_A);
    expect(dropped).toBe(1);
  });

  test("given twice count once each", () => {
    const { series, dropped } = lines((set) => {
      for (const state of ["open", "shut"] as const) set.addStates(DOORS, { house: "a" }, DOOR.only(state));
    });
    expect(series).toEqual(OF_A);
    expect(dropped).toBe(3);
  });

  test("are refused where their label is not the family's last", () => {
    const turned = gauge("turned_state", "State", ["state", "house"]);
    expect(() => new Samples().addStates(turned, { house: "a" }, DOOR.only("open"))).toThrow(
      'the last label of turned_state is not "state"',
    );
  });

  test("have names that need no escape", () => {
    expect(() => new StateLabel("state", ['o"pen'])).toThrow('"o"pen" is no name of a state');
  });
});
