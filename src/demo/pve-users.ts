/**
 * Who may read what of a simulated Proxmox VE: users, their tokens, and access control lists in which an entry on a
 * deeper path replaces what is inherited there.
 */

export interface PveUser {
  /** With its realm: `plumbline@pve`. */
  readonly name: string;
  readonly acl: PveAcl;
  readonly tokens?: Readonly<Record<string, PveToken>>;
  /** Without one there is no way in but by a token. */
  readonly password?: string;
  readonly secondFactor?: boolean;
  readonly disabled?: boolean;
}

export interface PveToken {
  readonly secret: string;
  /** With privilege separation (the default) a token has what both its user's list and its own give. */
  readonly privsep?: boolean;
  readonly acl?: PveAcl;
  /** In Unix seconds. */
  readonly expire?: number;
}

/** Path → names of roles and of single privileges: `{ "/": ["PVEAuditor"], "/storage/pbs": ["Datastore.Audit"] }`. */
export type PveAcl = Readonly<Record<string, readonly string[]>>;

export const ROLES: Readonly<Record<string, readonly string[]>> = {
  NoAccess: [],
  PVEAuditor: [
    "Datastore.Audit",
    "Mapping.Audit",
    "Pool.Audit",
    "SDN.Audit",
    "Sys.Audit",
    "VM.Audit",
    "VM.GuestAgent.Audit",
  ],
  Plumbline: ["Sys.Audit", "VM.Audit", "Datastore.Audit", "Pool.Audit", "SDN.Audit"],
  PlumblineBackup: ["Datastore.AllocateSpace", "VM.Backup"],
};

/** One who may read all that PVEAuditor on / gives, by token and by password. */
export const AUDITOR: PveUser = {
  name: "plumbline@pve",
  password: "correct horse",
  acl: { "/": ["PVEAuditor"] },
  tokens: { metrics: { secret: "8c1e5f3a-0b7d-4c52-9e64-2f0a7d3b9c18", acl: { "/": ["PVEAuditor"] } } },
};
/** What the Authorization header of AUDITOR's token holds. */
export const AUDITOR_TOKEN = "PVEAPIToken=plumbline@pve!metrics=8c1e5f3a-0b7d-4c52-9e64-2f0a7d3b9c18";

/** What one who is logged in may do. */
export interface Rights {
  can(privilege: string, path: string): boolean;
  /** The paths of the access control lists that say something. */
  readonly paths: readonly string[];
}

export function rightsOf(user: PveUser, token?: PveToken): Rights {
  const own = (acl: PveAcl, privilege: string, path: string) => grants(nearest(acl, path), privilege);
  if (token === undefined || token.privsep === false) {
    return {
      can: (privilege, path) => own(user.acl, privilege, path),
      paths: Object.keys(user.acl),
    };
  }
  const acl = token.acl ?? {};
  return {
    can: (privilege, path) => own(user.acl, privilege, path) && own(acl, privilege, path),
    paths: [...new Set([...Object.keys(user.acl), ...Object.keys(acl)])],
  };
}

/** What the list says of this path, or of the nearest one above it. */
function nearest(acl: PveAcl, path: string): readonly string[] {
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const here = acl[at];
    if (here !== undefined) return here;
  }
  return acl["/"] ?? [];
}

const grants = (names: readonly string[], privilege: string): boolean =>
  names.some((name) => name === privilege || ROLES[name]?.includes(privilege) === true);

export const PRIVILEGES: readonly string[] = [...new Set([...Object.values(ROLES).flat(), "VM.Monitor"])];
