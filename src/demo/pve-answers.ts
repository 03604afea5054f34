/** Which path of the simulated API is answered by whom, and what becomes of the answer on its way out. */
import {
  cephStatus,
  clusterResources,
  clusterStatus,
  notBackedUp,
  qdevice,
  version,
} from "./pve-answers-cluster.ts";
import { disksList, zfsPools } from "./pve-answers-disks.ts";
import { haCurrent, haGroups, haResources, managerStatus } from "./pve-answers-ha.ts";
import {
  certificates,
  fsinfo,
  guestConfig,
  guestList,
  nodeStatus,
  replication,
  rrddata,
  storageContent,
  storageList,
  subscription,
  tasks,
} from "./pve-answers-node.ts";
import { type Call, type NodeCall, Refusal } from "./pve-call.ts";
import type { NodePlan } from "./pve-inventory.ts";
import { shuffle } from "./pve-perl.ts";
import { PRIVILEGES } from "./pve-users.ts";

/** What stands under `data`. Throws a Refusal. */
export function answerTo(path: string, call: Call): unknown {
  const [collection, name = "", ...rest] = path.slice(1).split("/");
  if (collection !== "nodes" || name === "") return shuffledRows(clusterAnswer(path, call), call.random);
  const node = nodeNamed(name, call);
  return shuffledRows(nodeAnswer(rest, { ...call, node }, path), call.random);
}

/** The node that a path is about. Throws a Refusal when there is none of this name. */
export function nodeNamed(name: string, { state }: Pick<Call, "state">): NodePlan {
  const found = state.inventory.nodes.find((node) => node.name === name);
  if (found !== undefined && state.nodes.get(name)?.condition !== "removed") return found;
  const reason = `failed to get address info for: ${name}: Name or service not known`;
  throw new Refusal(500, `hostname lookup '${name}' failed - ${reason}`);
}

const CLUSTER: Readonly<Record<string, (call: Call) => unknown>> = {
  "/version": version,
  "/access/permissions": permissions,
  "/cluster/status": clusterStatus,
  "/cluster/resources": clusterResources,
  "/cluster/backup-info/not-backed-up": notBackedUp,
  "/cluster/config/qdevice": qdevice,
  "/cluster/ceph/status": cephStatus,
  "/cluster/ha/status/manager_status": managerStatus,
  "/cluster/ha/status/current": haCurrent,
  "/cluster/ha/resources": haResources,
  "/cluster/ha/groups": (call) => {
    if (call.asked.release === 8) return haGroups(call);
    throw new Refusal(500, "cannot index groups: ha groups have been migrated to rules");
  },
};

function clusterAnswer(path: string, call: Call): unknown {
  const answer = Object.hasOwn(CLUSTER, path) ? CLUSTER[path] : undefined;
  if (answer === undefined) throw notImplemented(path);
  return answer(call);
}

const NODE: Readonly<Record<string, (call: NodeCall) => unknown>> = {
  status: nodeStatus,
  qemu: guestList("qemu"),
  lxc: guestList("lxc"),
  replication,
  subscription,
  "disks/list": disksList,
  "disks/zfs": zfsPools,
  "certificates/info": certificates,
  storage: storageList,
  tasks,
  rrddata,
};

function nodeAnswer(rest: readonly string[], call: NodeCall, path: string): unknown {
  const [collection, id = "", ...further] = rest;
  const below = further.join("/");
  if (collection === "qemu" && below === "config") return guestConfig("qemu")(call, id);
  if (collection === "lxc" && below === "config") return guestConfig("lxc")(call, id);
  if (collection === "qemu" && below === "agent/get-fsinfo") return fsinfo(call, id);
  if (collection === "storage" && below === "content") return storageContent(call, id);
  const key = rest.join("/");
  const answer = Object.hasOwn(NODE, key) ? NODE[key] : undefined;
  if (answer === undefined) throw notImplemented(path);
  return answer(call);
}

const notImplemented = (path: string) => new Refusal(501, `Method 'GET ${path}' not implemented`);

/** The paths that PVE names to everybody, and those of the lists. */
const NAMED_PATHS = ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

function permissions({ rights, asked }: Call) {
  const ofOtherReleases = asked.release === 9 ? "VM.Monitor" : "VM.GuestAgent.Audit";
  const paths = [...new Set([...NAMED_PATHS, ...rights.paths])];
  return Object.fromEntries(
    paths.flatMap((path) => {
      const held = PRIVILEGES.filter(
        (privilege) => privilege !== ofOtherReleases && rights.can(privilege, path),
      );
      return held.length === 0 ? [] : [[path, Object.fromEntries(held.map((privilege) => [privilege, 1]))]];
    }),
  );
}

/** Lists come in any order. */
function shuffledRows(rows: unknown, random: () => number): unknown {
  return Array.isArray(rows) ? shuffle([...rows], random) : rows;
}
