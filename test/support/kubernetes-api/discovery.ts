/** What the server says that it serves: /api, /apis and the lists of resources below them. */
import { groupAndVersion, type ServedKind } from "./served-kinds.ts";

export function discovery(path: string, kinds: readonly ServedKind[]): unknown {
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (path === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: groupsOf(kinds) };
  const apiVersion = /^\/(?:api|apis)\/(.+)$/.exec(path)?.[1] ?? "";
  const { group, version } = groupAndVersion(apiVersion);
  const resources = kinds
    .filter((kind) => kind.group === group && kind.version === version)
    .flatMap((kind) => resourcesOf(kind));
  if (resources.length === 0) return undefined;
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersion, resources };
}

function groupsOf(kinds: readonly ServedKind[]) {
  const versions = Map.groupBy(
    kinds.filter(({ group }) => group !== ""),
    ({ group }) => group,
  );
  return [...versions].map(([name, members]) => {
    const all = [...new Set(members.map(({ apiVersion }) => apiVersion))].map((groupVersion) => ({
      groupVersion,
      version: groupAndVersion(groupVersion).version,
    }));
    return { name, versions: all, preferredVersion: all[0] };
  });
}

function resourcesOf({ plural, kind, isNamespaced, hasStatus }: ServedKind) {
  const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
  const resource = { name: plural, singularName: kind.toLowerCase(), namespaced: isNamespaced, kind, verbs };
  const status = { ...resource, name: `${plural}/status`, verbs: ["get", "patch", "update"] };
  return hasStatus ? [resource, status] : [resource];
}
