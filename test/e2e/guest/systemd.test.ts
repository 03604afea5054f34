/**
 * The units under a real systemd on a real kernel: a sandbox that is too tight, a capability too few or a system call
 * too many shows only here. The guest boots once; what the units did is judged on the host.
 */
import { beforeAll, expect, test } from "bun:test";
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plumblineBinary } from "../../support/binary.ts";
import { CURL, describeUnless, KILL, lacking, type Program } from "../../support/debian.ts";
import { parseExposition } from "../../support/exposition-parser.ts";
import { QEMU, qemuDevices } from "./devices.ts";
import { boot, prepare } from "./machine.ts";

const GUEST_MS = 120_000;
const SYSTEMD: Program = { command: "/lib/systemd/systemd", package: "systemd" };

/**
 * The guest's shell lives in a chroot of the initramfs. systemd makes mount namespaces for its units, so it needs a
 * true root: in a mount and process namespace of its own the overlay is moved there. Nothing else of the machine is
 * started: the units lose their default dependencies.
 */
const SCRIPT = `
set -e
rm -rf /var/lib/plumbline /etc/plumbline /var/lib/prometheus/node-exporter
mount -t cgroup2 cgroup2 /sys/fs/cgroup
install -m 755 /share/plumbline /usr/bin/plumbline
install -m 644 /share/systemd/*.service /share/systemd/*.timer /etc/systemd/system/
install -D -m 644 /share/systemd/plumbline.sysusers.conf /usr/lib/sysusers.d/plumbline.conf
install -D -m 644 /share/systemd/plumbline.tmpfiles.conf /usr/lib/tmpfiles.d/plumbline.conf
for unit in plumbline.service plumbline-textfile.service plumbline-textfile.timer; do
  mkdir -p "/etc/systemd/system/$unit.d"
  printf '[Unit]\\nDefaultDependencies=no\\n' >"/etc/systemd/system/$unit.d/no-boot.conf"
done
for unit in plumbline.service plumbline-textfile.service; do
  printf '[Service]\\nStandardError=append:/run/log-of-units\\n' >"/etc/systemd/system/$unit.d/log.conf"
done
systemd-sysusers plumbline.conf
systemd-tmpfiles --create plumbline.conf
printf '[Unit]\\nDescription=what the test starts\\nDefaultDependencies=no\\n' >/etc/systemd/system/test.target
nsenter -t 1 -m -r /bin/busybox unshare -m -p -f /bin/busybox sh -c 'cd /new && mount --move . / && exec chroot . /bin/sh -c \\
  "mount -t proc proc /proc; exec env container=test /lib/systemd/systemd --system --unit=test.target --log-target=kmsg --show-status=0"' &
until [ -S /run/systemd/private ]; do sleep 0.2; done
systemd=$(pgrep -x systemd | head -n 1)
run() { nsenter -t "$systemd" -m -p -r -w timeout 40 "$@"; }
# As systemd makes it on a host; in the container that it takes this guest for it does not.
run mount --make-rshared /
csi=/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices
mkdir -p -m 750 /var/lib/kubelet/pods "$csi/pv-1/data" "$csi/publish/pv-1"
touch "$csi/publish/pv-1/uid-1"
printf 'NODE_NAME=worker-1\\n' >/etc/default/plumbline
set +e

run systemctl start plumbline.service; echo "start $?" >/share/results
run systemctl show plumbline.service -p ActiveState,NotifyAccess,StatusText,User >/share/running
pid=$(run systemctl show plumbline.service -p MainPID --value)
run grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status" >/share/status-of-process
run curl -sS http://127.0.0.1:9847/metrics >/share/served.prom
printf '{"driverName":"disk.example.org","volumeHandle":"vol-1","specVolID":"pv-1"}' >"$csi/pv-1/data/vol_data.json"
run mount --bind /dev/nvme0n1 "$csi/publish/pv-1/uid-1"
run systemctl reload plumbline.service; echo "reload $?" >>/share/results
sleep 2
run curl -sS http://127.0.0.1:9847/metrics >/share/reloaded.prom
run systemctl stop plumbline.service; echo "stop $?" >>/share/results
run systemctl show plumbline.service -p Result,ExecMainStatus >/share/stopped
run systemctl start plumbline-textfile.service; echo "textfile $?" >>/share/results
cp /var/lib/prometheus/node-exporter/plumbline.prom /share/textfile.prom
ls -ln /var/lib/prometheus/node-exporter /var/lib/plumbline >/share/directories
run systemctl start plumbline-textfile.timer; echo "timer $?" >>/share/results
cp /run/log-of-units /share/log
exit 0
`;

const kernel = prepare();
const reason = "lacking" in kernel ? kernel.lacking : lacking([SYSTEMD, KILL, CURL]);

describeUnless(reason, "the units under systemd in a guest with NVMe controllers", () => {
  const seen = new Map<string, string>();
  const told = (name: string): string => seen.get(name) ?? `the guest wrote no ${name}`;

  beforeAll(async () => {
    if ("lacking" in kernel) return;
    const share = mkdtempSync(join(tmpdir(), "plumbline-guest-"));
    try {
      copyFileSync(await plumblineBinary(), join(share, "plumbline"));
      cpSync(join(import.meta.dir, "../../../systemd"), join(share, "systemd"), { recursive: true });
      const guest = await boot(kernel, {
        devices: qemuDevices(),
        parameters: [],
        command: SCRIPT,
        share,
        timeoutMs: GUEST_MS,
      });
      if (guest.status !== 0) throw new Error(`${guest.output}\n${guest.console}`);
      for (const name of [
        ...["results", "running", "status-of-process", "served.prom", "reloaded.prom", "stopped"],
        ...["textfile.prom", "directories", "log"],
      ]) {
        if (existsSync(join(share, name))) seen.set(name, readFileSync(join(share, name), "utf8"));
      }
    } finally {
      rmSync(share, { recursive: true });
    }
  }, GUEST_MS + 10_000);

  test("the service starts, says that it is ready, reloads and stops", () => {
    expect(told("results")).toBe("start 0\nreload 0\nstop 0\ntextfile 0\ntimer 0\n");
    expect(told("running")).toContain("ActiveState=active");
    expect(told("stopped")).toBe("Result=success\nExecMainStatus=0\n");
  });

  test("the service runs as its own user with two capabilities, no new privileges and a system-call filter", () => {
    const status = told("status-of-process");
    expect(status).not.toMatch(/^Uid:\s+0/m);
    // CAP_DAC_READ_SEARCH is bit 2, CAP_SYS_ADMIN bit 21.
    expect(status).toMatch(/^CapEff:\s+0000000000200004$/m);
    expect(status).toMatch(/^CapBnd:\s+0000000000200004$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
  });

  test.each(["served.prom", "reloaded.prom", "textfile.prom"])("%s has every controller's SMART", (file) => {
    const families = parseExposition(new TextEncoder().encode(told(file)), "text");
    const accessible = families.find(({ name }) => name === "nvme_device_accessible")?.samples ?? [];
    expect(accessible.map(({ value }) => value)).toEqual(["1", "1", "1", "1"]);
    expect(told(file)).toContain(`serial="${QEMU.plain.serial}"`);
  });

  test("a volume that is mounted on the host meanwhile is seen by the service, whose mounts are its own", () => {
    const volume = 'node="worker-1",driver="disk.example.org",volume_handle="vol-1",persistentvolume="pv-1"';
    expect(told("served.prom")).toContain('plumbline_collector_success{collector="csi"} 1');
    expect(told("served.prom")).not.toContain("csi_volume_node_device_info{");
    for (const file of ["reloaded.prom", "textfile.prom"]) {
      expect(told(file)).toContain(`csi_volume_node_device_info{${volume},device="nvme0n1"} 1`);
    }
  });

  test("a reload is told to have succeeded", () => {
    expect(told("reloaded.prom")).toContain("\nplumbline_config_last_reload_successful 1\n");
  });

  test("the textfile and the state are where the units allow them, readable as they should be", () => {
    expect(told("directories")).toMatch(/^-rw-r--r-- .* plumbline\.prom$/m);
    expect(told("directories")).toMatch(/^-rw------- .* ebs-state\.json$/m);
  });

  test("the log has no warning and no error", () => {
    expect(told("log")).toContain("listening");
    expect(told("log")).not.toMatch(/level=(warn|error)|denied|not permitted/);
  });
});
