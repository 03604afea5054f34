/**
 * What node_exporter ≥ 1.12 says of multipath devices and NVMe subsystems, made from the same files of /sys
 * (collector/dmmultipath_linux.go, collector/nvmesubsystem_linux.go): no Debian has one so new yet.
 */

/** Content by path. */
export type SysfsFiles = ReadonlyMap<string, string>;

/** Lines of `PATH CONTENT`. */
export function sysfsFiles(text: string): SysfsFiles {
  return new Map([...text.matchAll(/^(\S+) (.*)$/gm)].map(([, path = "", content = ""]) => [path, content]));
}

/** How many paths a subsystem has, and how many of them are live, by its NQN. */
export function subsystemPaths(
  files: SysfsFiles,
): Map<string, { readonly paths: number; readonly live: number }> {
  return new Map(
    matching(files, /^\/sys\/class\/nvme-subsystem\/([^/]+)\/subsysnqn$/).map(({ name, content: nqn }) => {
      const states = matching(files, new RegExp(`^/sys/class/nvme-subsystem/${name}/([^/]+)/state$`));
      return [nqn, { paths: states.length, live: states.filter(({ content }) => content === "live").length }];
    }),
  );
}

export function pathHealthExposition(files: SysfsFiles): string {
  const families = new Map<string, string[]>();
  const gauge = (name: string, labels: Readonly<Record<string, string>>, value: number) => {
    const lines = families.get(name) ?? [];
    families.set(name, lines);
    const pairs = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
    lines.push(`${name}{${pairs.join(",")}} ${value}`);
  };

  for (const { name: dm, content: uuid } of matching(files, /^\/sys\/block\/(dm-\d+)\/dm\/uuid$/)) {
    if (!uuid.startsWith("mpath-")) continue;
    const labels = { device: files.get(`/sys/block/${dm}/dm/name`) ?? "", sysfs_name: dm };
    const paths = matching(files, new RegExp(`^/sys/block/${dm}/slaves/([^/]+)/device/state$`));
    const active = paths.filter(({ content }) => content === "running" || content === "live").length;
    gauge("node_dmmultipath_device_info", { ...labels, uuid }, 1);
    gauge("node_dmmultipath_device_paths", labels, paths.length);
    gauge("node_dmmultipath_device_paths_active", labels, active);
    gauge("node_dmmultipath_device_paths_failed", labels, paths.length - active);
    for (const { name: path, content: state } of paths)
      gauge("node_dmmultipath_path_state", { device: labels.device, path, state }, 1);
  }
  const subsystems = subsystemPaths(files);
  for (const [path, nqn] of files) {
    const subsystem = /^\/sys\/class\/nvme-subsystem\/([^/]+)\/subsysnqn$/.exec(path)?.[1];
    if (subsystem === undefined) continue;
    for (const { name: device } of matching(
      files,
      new RegExp(`^/sys/class/nvme-subsystem/${subsystem}/([^/]+)/nsid$`),
    ))
      gauge("node_nvmesubsystem_namespace_info", { subsystem, device }, 1);
    gauge("node_nvmesubsystem_paths", { subsystem }, subsystems.get(nqn)?.paths ?? 0);
    gauge("node_nvmesubsystem_paths_live", { subsystem }, subsystems.get(nqn)?.live ?? 0);
  }
  return [...families].map(([name, lines]) => `# TYPE ${name} gauge\n${lines.join("\n")}\n`).join("");
}

/** The files whose path matches, each with the pattern's group as its name. */
function matching(files: SysfsFiles, pattern: RegExp): { name: string; content: string }[] {
  return [...files].flatMap(([path, content]) => {
    const name = pattern.exec(path)?.[1];
    return name === undefined ? [] : [{ name, content }];
  });
}
