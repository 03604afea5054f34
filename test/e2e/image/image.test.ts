/** The image: what is in it, and that it runs where nothing is allowed to it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import * as v from "valibot";
import manifest from "../../../package.json" with { type: "json" };
import { describeUnless, describeWith, find, QEMU_ARM64 } from "../../support/debian.ts";
import { parseExposition } from "../../support/exposition-parser.ts";
import { freePort } from "../../support/ports.ts";
import {
  BUILDING_MS,
  buildImage,
  forgetLayers,
  HERE,
  inspectImage,
  lackingForImages,
  podman,
  REVISION,
  runToEnd,
  start,
  withFiles,
} from "./engine.ts";

const TEST_MS = 60_000;
const MAX_BYTES = 130e6;

/** e_machine of <elf.h>, and what the libraries' directory is called. */
const ARCHITECTURES = [
  {
    architecture: "amd64",
    machine: 62,
    libraries: "x86_64-linux-gnu",
    interpreter: "lib64/ld-linux-x86-64.so.2",
  },
  {
    architecture: "arm64",
    machine: 183,
    libraries: "aarch64-linux-gnu",
    interpreter: "lib/ld-linux-aarch64.so.1",
  },
] as const;

const INSPECTED = v.tuple([
  v.looseObject({
    Architecture: v.string(),
    Size: v.number(),
    User: v.string(),
    Labels: v.record(v.string(), v.string()),
    Config: v.looseObject({
      Entrypoint: v.array(v.string()),
      Cmd: v.array(v.string()),
      ExposedPorts: v.record(v.string(), v.unknown()),
    }),
    HealthCheck: v.optional(v.unknown()),
  }),
]);

describeUnless(lackingForImages(), "the image", () => {
  afterAll(forgetLayers, TEST_MS);

  describe.each([...ARCHITECTURES])(
    "for $architecture",
    ({ architecture, machine, libraries, interpreter }) => {
      let image = "";
      beforeAll(async () => {
        image = await buildImage(architecture);
      }, BUILDING_MS);

      test("has its labels, no user and no health check, and at most 130 MB", () => {
        const [inspected] = v.parse(INSPECTED, inspectImage(image));
        expect(inspected.Architecture).toBe(architecture);
        expect(inspected.Size).toBeLessThanOrEqual(MAX_BYTES);
        expect(inspected.User).toBe("");
        expect(inspected.HealthCheck).toBeUndefined();
        expect(inspected.Config.Entrypoint).toEqual(["/usr/bin/plumbline"]);
        expect(inspected.Config.Cmd).toEqual(["serve"]);
        expect(inspected.Config.ExposedPorts).toEqual({ "9847/tcp": {} });
        expect(inspected.Labels).toMatchObject({
          "org.opencontainers.image.title": "plumbline",
          "org.opencontainers.image.licenses": manifest.license,
          "org.opencontainers.image.description": manifest.description,
          "org.opencontainers.image.version": manifest.version,
          "org.opencontainers.image.revision": REVISION,
        });
      });

      test("holds the binary, what it loads, certificates and names, and nothing else", () =>
        withFiles(image, (root) => {
          const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
            (name) => !lstatSync(join(root, name)).isDirectory(),
          );
          expect(files.toSorted()).toEqual(
            [
              ...["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt"],
              ...["ld-linux-", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"].map(
                (name) => `lib/${libraries}/${name === "ld-linux-" ? interpreter.replace(/.*\//, "") : name}`,
              ),
              interpreter,
              ...["usr/bin/plumbline", "usr/bin/pve_exporter"],
              ...["usr/share/doc/libc6/copyright", "usr/share/doc/plumbline/LICENSE"],
            ].toSorted(),
          );
          // Its link is followed as in the image: from its directory, and from the image's root.
          const loader = resolve("/", dirname(interpreter), readlinkSync(join(root, interpreter)));
          for (const file of ["usr/bin/plumbline", `lib/${libraries}/libc.so.6`, loader])
            expect(readFileSync(join(root, file)).readUInt16LE(18)).toBe(machine);
          expect(readlinkSync(join(root, "usr/bin/pve_exporter"))).toBe("plumbline");
          // Nobody but root may change any of it.
          for (const file of files) {
            const { mode, uid } = lstatSync(join(root, file));
            if (!lstatSync(join(root, file)).isSymbolicLink())
              expect({ file, uid, mode: mode & 0o6022 }).toEqual({ file, uid: 0, mode: 0 });
          }
          expect(statSync(join(root, "usr/bin/plumbline")).mode & 0o111).toBe(0o111);
        }));
    },
  );

  describeWith([QEMU_ARM64], "for arm64, emulated", () => {
    test(
      "runs with nothing but the libraries of the image",
      async () =>
        withFiles(await buildImage("arm64"), (root) => {
          const emulator = find(QEMU_ARM64) ?? "";
          const { status, stdout } = spawnSync(
            emulator,
            ["-L", root, join(root, "usr/bin/plumbline"), "--version"],
            { encoding: "utf8" },
          );
          expect(status).toBe(0);
          expect(stdout).toEndWith(" linux arm64)\n");
        }),
      BUILDING_MS,
    );
  });

  describe("on this machine", () => {
    let image = "";
    beforeAll(async () => {
      image = await buildImage(HERE);
    }, BUILDING_MS);

    test("says its version and the commit that the build was told", () => {
      const { status, stdout, stderr } = runToEnd(image, [], ["--version"]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toStartWith(`plumbline ${manifest.version} (revision ${REVISION}, bun `);
    });

    test("is prometheus-pve-exporter under its name", () => {
      const help = runToEnd(image, ["--entrypoint=pve_exporter"], ["--help"]);
      expect(help).toMatchObject({ status: 0, stderr: "" });
      expect(help.stdout).toMatch(/--config\.file .*default:\s+\/etc\/prometheus\/pve\.yml/s);
    });

    test.each([
      { who: "another user than root", user: "65532:65532" },
      { who: "a user that it does not know", user: "1000680000:0" },
      { who: "uid 0 without a capability", user: "0:0" },
    ])(
      "runs as $who with a read-only root: answers, logs nothing odd, and ends when told",
      async ({ user }) => {
        const port = await freePort();
        const name = `plumbline-test-${port}`;
        await using service = start(
          image,
          [`--user=${user}`, `--name=${name}`],
          ["serve", `--web.listen-address=127.0.0.1:${port}`, "--log.format=json"],
        );
        await service.line(/"msg":"listening"/);
        const response = await fetch(`http://127.0.0.1:${port}/metrics`);
        expect(response.status).toBe(200);
        const families = parseExposition(await response.bytes(), "text").map((family) => family.name);
        expect(families).toContain("plumbline_build_info");

        const check = podman(["exec", name, "plumbline", "check"]);
        expect(check.stdout).toStartWith(`plumbline ${manifest.version} `);

        expect(podman(["kill", "--signal=TERM", name]).status).toBe(0);
        expect(await service.exited).toBe(0);
        expect(told(service.log())).toEqual([
          ["info", "listening"],
          ["warn", expect.stringMatching(/^no collector is enabled: /)],
          ["info", "stopping"],
        ]);
      },
      TEST_MS,
    );
  });
});

const LINE = v.looseObject({ level: v.string(), msg: v.string() });
const told = (log: string): readonly (readonly [string, string])[] =>
  log
    .trimEnd()
    .split("\n")
    .map((line) => v.parse(LINE, JSON.parse(line)))
    .map(({ level, msg }) => [level, msg]);
