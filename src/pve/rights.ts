/** Which rights each collector needs, what the one who asks lacks of them, and the `pveum` lines that give them. */
import { quoted } from "./advice.ts";
import { identityOf, type PveCredentials } from "./endpoint.ts";
import type { MissingRight } from "./failure.ts";
import type { Permissions } from "./permissions.ts";

/** Of several privileges that `|` parts one suffices. On a deeper path it may be taken away again. */
const SYSTEM: MissingRight = { privilege: "Sys.Audit", path: "/" };
const NODES: MissingRight = { privilege: "Sys.Audit", path: "/nodes" };
const GUESTS: MissingRight = { privilege: "VM.Audit", path: "/vms" };
const STORAGES: MissingRight = { privilege: "Datastore.Audit", path: "/storage" };

/** By bare name; a collector that is not here needs to be logged in and no more. */
const NEEDED: Readonly<Record<string, readonly MissingRight[]>> = {
  status: [SYSTEM],
  node: [SYSTEM],
  cluster: [SYSTEM],
  resources: [NODES, GUESTS, STORAGES, { privilege: "Pool.Audit", path: "/pool" }],
  "backup-info": [SYSTEM],
  qdevice: [SYSTEM],
  subscription: [NODES],
  replication: [GUESTS],
  config: [GUESTS],
  "node-status": [NODES],
  "vm-pressure": [GUESTS],
  "ha-status": [SYSTEM],
  "physical-disks": [NODES],
  "guest-memory": [GUESTS],
  "network-state": [{ privilege: "SDN.Audit", path: "/sdn" }],
  zfs: [SYSTEM],
  ceph: [{ privilege: "Sys.Audit|Datastore.Audit", path: "/" }],
  backups: [
    NODES,
    { privilege: "Datastore.AllocateSpace", path: "/storage" },
    { privilege: "VM.Backup", path: "/vms" },
  ],
  "node-rrd": [NODES],
  storage: [STORAGES],
  "guest-fs": [GUESTS, { privilege: "VM.GuestAgent.Audit|VM.Monitor", path: "/vms" }],
};

/** What the collector's answers are thinner for, without a word of Proxmox VE where it filters lists. */
export function lacking(collector: string, permissions: Permissions): readonly MissingRight[] {
  return (NEEDED[collector] ?? []).flatMap(({ privilege, path }) => {
    const deeper = permissions.paths.filter((one) => one.startsWith(`${path === "/" ? "" : path}/`));
    // What stands below / is another's: nodes, guests and storages are asked for by themselves.
    return [path, ...(path === "/" ? [] : deeper)]
      .filter((one) => !privilege.split("|").some((name) => permissions.allows(name, one)))
      .map((one) => ({ privilege, path: one }));
  });
}

/** Whether nobody gave what PVEAuditor does not have, without which nothing is read at all. */
export const readsNothing = (collector: string, permissions: Permissions): boolean =>
  collector === "backups" &&
  lacking(collector, permissions).some(
    ({ privilege }) => !permissions.paths.some((path) => permissions.allows(privilege, path)),
  );

/** As they are typed on a host of the cluster; `collectors` are those that are on, `deeper` the paths with entries of their own. */
export function rightsCommands(
  credentials: PveCredentials,
  collectors: readonly string[],
  deeper: readonly string[] = [],
): string {
  const privileges = ["Sys.Audit", "VM.Audit", "Datastore.Audit", "Pool.Audit", "SDN.Audit"];
  if (collectors.includes("guest-fs")) privileges.push("VM.GuestAgent.Audit");
  const { user } = credentials;
  const grant = (path: string, to: string, roles: string) =>
    `pveum acl modify ${path} ${to} --roles ${roles}`;
  const toUser = `--users ${quoted(user)}`;
  const toToken = credentials.kind === "token" ? `--tokens ${quoted(identityOf(credentials))}` : undefined;
  const grants = (path: string, roles: string) =>
    [toUser, toToken].flatMap((to) => (to === undefined ? [] : [grant(path, to, roles)]));
  const backups = [
    "# both privileges allow writing as well: to upload to the storage, and to start backups",
    'pveum role add PlumblineBackup --privs "Datastore.AllocateSpace VM.Backup"',
    ...grants("/storage", "Plumbline,PlumblineBackup"),
    ...grants("/vms", "Plumbline,PlumblineBackup"),
  ];
  // Each release refuses what only the other has.
  const onOlder = collectors.includes("guest-fs")
    ? "; before Proxmox VE 9 VM.Monitor in place of VM.GuestAgent.Audit"
    : "";
  return [
    `pveum role add Plumbline --privs "${privileges.join(" ")}"   # or use PVEAuditor; \`role modify\` where it exists${onOlder}`,
    `pveum user add ${quoted(user)} --comment "plumbline exporter"   # where it does not exist yet`,
    grant("/", toUser, "Plumbline"),
    ...(credentials.kind === "token" && toToken !== undefined
      ? [
          `pveum user token add ${quoted(user)} ${quoted(credentials.tokenName)} --privsep 1   # where it does not exist yet`,
          grant("/", toToken, "Plumbline"),
        ]
      : []),
    ...deeper.flatMap((path) => grants(path, "Plumbline")),
    ...(collectors.includes("backups") ? backups : []),
  ].join("\n");
}
