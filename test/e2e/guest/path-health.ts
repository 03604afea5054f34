/**
 * What node_exporter ≥ 1.12 says of multipath devices and NVMe subsystems, made from the same files of /sys
 * (collector/dmmultipath_linux.go, collector/nvmesubsystem_linux.go): no Debian has one so new yet.
 */
export function pathHealthExposition(files: SysfsFiles): string {
  const families = new Map<string, string[]>();
  const gauge = (name: string, labels: Readonly<Record<string, string>>, value: number) => {
    const lines = families.get(name) ?? [];
    families.set(name, lines);
    const pairs = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
    lines.push(`${name}{${pairs.join(",")}} ${value}`);
  };
  for (const { device, sysfsName, uuid, states } of multipathDevices(files)) {
    const labels = { device, sysfs_name: sysfsName };
    const active = states.filter(({ state }) => state === "running" || state === "live").length;
    gauge("node_dmmultipath_device_info", { ...labels, uuid }, 1);
    gauge("node_dmmultipath_device_paths", labels, states.length);
    gauge("node_dmmultipath_device_paths_active", labels, active);
    gauge("node_dmmultipath_device_paths_failed", labels, states.length - active);
    for (const { path, state } of states) gauge("node_dmmultipath_path_state", { device, path, state }, 1);
  }
  for (const { name: subsystem, devices, paths, live } of subsystems(files)) {
    for (const device of devices) gauge("node_nvmesubsystem_namespace_info", { subsystem, device }, 1);
    gauge("node_nvmesubsystem_paths", { subsystem }, paths);
    gauge("node_nvmesubsystem_paths_live", { subsystem }, live);
  }
  return [...families].map(([name, lines]) => `# TYPE ${name} gauge\n${lines.join("\n")}\n`).join("");
}

/** Content by path. */
export type SysfsFiles = ReadonlyMap<string, string>;

/** Lines of `PATH CONTENT`. */
export function sysfsFiles(text: string): SysfsFiles {
  return new Map([...text.matchAll(/^(\S+) (.*)$/gm)].map(([, path = "", content = ""]) => [path, content]));
}

export interface MultipathDevice {
  /** `mpatha` */
  readonly device: string;
  /** `dm-0` */
  readonly sysfsName: string;
  readonly uuid: string;
  readonly states: readonly { readonly path: string; readonly state: string }[];
}

export function multipathDevices(files: SysfsFiles): MultipathDevice[] {
  return below(files, "/sys/block/", "/dm/uuid")
    .filter(({ content }) => content.startsWith("mpath-"))
    .map(({ name: sysfsName, content: uuid }) => ({
      device: files.get(`/sys/block/${sysfsName}/dm/name`) ?? "",
      sysfsName,
      uuid,
      states: below(files, `/sys/block/${sysfsName}/slaves/`, "/device/state").map(
        ({ name: path, content: state }) => ({ path, state }),
      ),
    }));
}

export interface Subsystem {
  /** `nvme-subsys0` */
  readonly name: string;
  readonly nqn: string;
  /** Its namespaces: `nvme0n1`. */
  readonly devices: readonly string[];
  readonly paths: number;
  readonly live: number;
}

export function subsystems(files: SysfsFiles): Subsystem[] {
  return below(files, "/sys/class/nvme-subsystem/", "/subsysnqn").map(({ name, content: nqn }) => {
    const directory = `/sys/class/nvme-subsystem/${name}/`;
    const states = below(files, directory, "/state");
    return {
      name,
      nqn,
      devices: below(files, directory, "/nsid").map((namespace) => namespace.name),
      paths: states.length,
      live: states.filter(({ content }) => content === "live").length,
    };
  });
}

/** The files that have one name between `start` and `end`. */
function below(files: SysfsFiles, start: string, end: string): { name: string; content: string }[] {
  return [...files].flatMap(([path, content]) => {
    const name = path.slice(start.length, -end.length);
    return path === `${start}${name}${end}` && !name.includes("/") ? [{ name, content }] : [];
  });
}
