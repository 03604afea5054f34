# Runs in the guest, as root: builds a Kubernetes node's volumes on real stacks of block devices, breaks them step by
# step under a running plumbline, and leaves at each stage what plumbline said beside what the system itself says.
#
#     sh csi-stacks.sh PLUMBLINE DIRECTORY
#
# For each stage DIRECTORY has STAGE.prom, STAGE.lsblk.json, STAGE.subsystems.json (nvme list-subsys) and STAGE.paths, in
# each line a file of /sys and its content. A line of `devices` is a PersistentVolume, its driver and handle, and the
# device that was mounted for it; node-exporter.prom is node_exporter's view of all disks; `log` is plumbline's.
set -eu
binary=$1 told=$2
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
# There is no udev: libdevmapper makes the nodes itself, and waits for nobody.
export DM_DISABLE_UDEV=1
kubelet=/var/lib/kubelet
csi=$kubelet/plugins/kubernetes.io/csi

kernel_name() { lsblk -dno KNAME "$1"; }
sectors() { echo $(($(blockdev --getsz "$1"))); }
mapper() { # NAME UUID TABLE
  dmsetup create "$1" --uuid "$2" --table "$3"
}
# until_true COMMAND...: 20 s
until_true() {
  for _ in $(seq 100); do
    if "$@"; then return; fi
    sleep 0.2
  done
  echo "in vain: $*"
  return 1
}
state_is() { [ "$(cat "/sys/class/nvme/$1/state")" = "$2" ]; }
state_is_not() { ! state_is "$@"; }
controller_of() { basename "$(dirname "$(grep -l "trsvcid=$1" /sys/class/nvme/*/address)")"; }

# What the kubelet and a driver do for a volume

vol_data() { # DIRECTORY JSON
  mkdir -p "$1"
  printf '%s' "$2" >"$1/vol_data.json"
}
stage_volume() { # DRIVER HANDLE DEVICE: mounted once for the node
  staged=$csi/$1/$(printf %s "$2" | sha256sum | cut -d' ' -f1)
  vol_data "$staged" "{\"driverName\":\"$1\",\"volumeHandle\":\"$2\"}"
  mkdir "$staged/globalmount"
  mount "$3" "$staged/globalmount"
}
publish_volume() { # DRIVER HANDLE PV POD: behind stage_volume
  directory=$kubelet/pods/$4/volumes/kubernetes.io~csi/$3
  vol_data "$directory" "{\"attachmentID\":\"csi-1\",\"driverName\":\"$1\",\"nodeName\":\"guest\",\"specVolID\":\"$3\",\
\"volumeHandle\":\"$2\",\"volumeLifecycleMode\":\"Persistent\"}"
  mkdir "$directory/mount"
  mount --bind "$staged/globalmount" "$directory/mount"
}
filesystem_volume() { # DRIVER HANDLE PV DEVICE POD...
  driver=$1 handle=$2 pv=$3 device=$4
  shift 4
  mkfs.ext4 -q -F "$device"
  stage_volume "$driver" "$handle" "$device"
  for pod; do publish_volume "$driver" "$handle" "$pv" "$pod"; done
  echo "$pv $driver $handle $(kernel_name "$device")" >>"$told/devices"
}
block_volume() { # DRIVER HANDLE PV DEVICE POD
  directory=$csi/volumeDevices/$3
  vol_data "$directory/data" "{\"attachmentID\":\"csi-1\",\"driverName\":\"$1\",\"nodeName\":\"guest\",\"specVolID\":\"$3\",\
\"volumeHandle\":\"$2\"}"
  mkdir -p "$directory/dev" "$csi/volumeDevices/publish/$3" "$kubelet/pods/$5/volumeDevices/kubernetes.io~csi"
  # devtmpfs knows dm-3, the node in /dev/mapper is another of the same number.
  node=/dev/$(kernel_name "$4")
  for at in "$csi/volumeDevices/publish/$3/$5" "$directory/dev/$5"; do
    : >"$at"
    mount --bind "$node" "$at"
  done
  ln -s "$csi/volumeDevices/publish/$3/$5" "$kubelet/pods/$5/volumeDevices/kubernetes.io~csi/$3"
  echo "$3 $1 $2 ${node#/dev/}" >>"$told/devices"
}
unmount_volume() { # DRIVER HANDLE PV POD
  umount "$kubelet/pods/$4/volumes/kubernetes.io~csi/$3/mount"
  umount "$csi/$1/$(printf %s "$2" | sha256sum | cut -d' ' -f1)/globalmount"
}

# The stacks

# The kernel cannot load what it needs by itself: it would look for modprobe in the initramfs.
modprobe -a xts ecb aes_generic ext4 dm-mod dm-crypt dm-mirror dm-multipath dm-service-time sd_mod raid1 nvmet nvmet-tcp nvme-tcp
modprobe brd rd_nr=8 rd_size=65536
modprobe scsi_debug dev_size_mb=64 add_host=2 vpd_use_hostno=0 num_tgts=1 max_luns=1

multipath_disks() {
  paths=$(grep -l scsi_debug /sys/block/sd*/device/model | cut -d/ -f4)
  [ "$(echo "$paths" | wc -w)" = 2 ]
}
until_true multipath_disks
numbers=$(for path in $paths; do printf 'service-time 0 1 1 %s 1 ' "$(cat "/sys/block/$path/dev")"; done)
set -- $paths
path_a=$1 path_b=$2
mapper mpatha mpath-353333330000007d0 "0 $(sectors "/dev/$path_a") multipath 0 0 2 1 $numbers"
# As kpartx does it, whose maps' UUIDs are partN-mpath-…
mapper mpatha-part1 part1-mpath-353333330000007d0 "0 65536 linear /dev/mapper/mpatha 0"
mapper mpatha-part2 part2-mpath-353333330000007d0 "0 65536 linear /dev/mapper/mpatha 65536"

encrypt() { # DEVICE NAME
  printf secret >/run/key
  cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --key-file /run/key "$1"
  cryptsetup open --key-file /run/key "$1" "$2"
}
encrypt /dev/mapper/mpatha-part1 luks-san
filesystem_volume san.example.com san-1 pvc-multipath /dev/mapper/luks-san pod-1
block_volume san.example.com san-2 pvc-multipath-block /dev/mapper/mpatha-part2 pod-2

lvm_with() {
  LVM_SUPPRESS_FD_WARNINGS=1 lvm "$@" --config 'devices { obtain_device_list_from_udev = 0 scan = "/dev" }
    global { use_lvmpolld = 0 }'
}
lvm_with vgcreate -q vg /dev/ram0 /dev/ram1 /dev/ram2
lvm_with lvcreate -q -W n -Z n -n lv -L 80M vg /dev/ram0 /dev/ram1
dmsetup mknodes
filesystem_volume lvm.example.com lv-1 pvc-lvm /dev/mapper/vg-lv pod-3 pod-4

mdadm --create /dev/md0 --quiet --level=1 --raid-devices=2 --assume-clean --run --metadata=1.2 /dev/ram3 /dev/ram4 </dev/null
encrypt /dev/md0 luks-raid
filesystem_volume raid.example.com raid-1 pvc-raid /dev/mapper/luks-raid pod-5

mapper moving LVM-moving "0 65536 linear /dev/ram5 0"
block_volume lvm.example.com lv-2 pvc-moving /dev/mapper/moving pod-6

mount -t configfs configfs /sys/kernel/config 2>/dev/null || true
nvmet=/sys/kernel/config/nvmet
subsystem() { # NQN DEVICE PORT...
  mkdir "$nvmet/subsystems/$1" "$nvmet/subsystems/$1/namespaces/1"
  echo 1 >"$nvmet/subsystems/$1/attr_allow_any_host"
  echo "$2" >"$nvmet/subsystems/$1/namespaces/1/device_path"
  echo 1 >"$nvmet/subsystems/$1/namespaces/1/enable"
  nqn=$1
  shift 2
  for port; do
    mkdir "$nvmet/ports/$port"
    echo ipv4 >"$nvmet/ports/$port/addr_adrfam"
    echo tcp >"$nvmet/ports/$port/addr_trtype"
    echo 127.0.0.1 >"$nvmet/ports/$port/addr_traddr"
    echo "$port" >"$nvmet/ports/$port/addr_trsvcid"
    ln -s "$nvmet/subsystems/$nqn" "$nvmet/ports/$port/subsystems/$nqn"
    # What finds no path fails after two seconds, so that the guest can power off.
    echo "transport=tcp,traddr=127.0.0.1,trsvcid=$port,nqn=$nqn,nr_io_queues=1,reconnect_delay=1,fast_io_fail_tmo=2" \
      >/dev/nvme-fabrics
  done
}
# head_of NQN: the device of the namespace, whatever path leads to it
head_of() {
  basename "$(grep -lx "$1" /sys/class/nvme-subsystem/*/subsysnqn | sed s/subsysnqn$//)"nvme*n1
}
two_paths=nqn.2026-01.example:two one_path=nqn.2026-01.example:one
subsystem "$two_paths" /dev/ram6 4420 4421
subsystem "$one_path" /dev/ram7 4422
has_head() { [ -b "/dev/$(head_of "$1")" ]; }
until_true has_head "$two_paths"
until_true has_head "$one_path"
filesystem_volume fabrics.example.com fabrics-1 pvc-fabrics "/dev/$(head_of "$two_paths")" pod-7

# The service, as the DaemonSet runs it: no capability but one, and only what is mounted below the host's reaches it.

mount --make-rshared /
unshare --mount --propagation slave setpriv --bounding-set=-all,+dac_read_search --inh-caps=-all \
  "$binary" serve --web.listen-address=127.0.0.1:9847 --node-name=guest --collector.disable-defaults --collector.csi \
  2>"$told/log" &
until_true curl -sf -o /dev/null http://127.0.0.1:9847/-/ready
prometheus-node-exporter --collector.disable-defaults --collector.diskstats --web.disable-exporter-metrics \
  --web.listen-address=127.0.0.1:9100 2>/dev/null &
until_true curl -sf -o /dev/null http://127.0.0.1:9100/

look() { # STAGE
  curl -sS http://127.0.0.1:9847/metrics >"$told/$1.prom"
  lsblk -s -J -o NAME,KNAME,TYPE >"$told/$1.lsblk.json"
  nvme list-subsys -o json >"$told/$1.subsystems.json"
  for file in /sys/block/dm-*/dm/uuid /sys/block/dm-*/dm/name /sys/block/dm-*/slaves/*/device/state \
    /sys/class/nvme-subsystem/*/subsysnqn /sys/class/nvme-subsystem/*/nvme*/state \
    /sys/class/nvme-subsystem/*/nvme*/transport /sys/class/nvme-subsystem/*/nvme*/nsid; do
    [ ! -f "$file" ] || echo "$file $(cat "$file")"
  done >"$told/$1.paths"
}

look whole

# Other disks under mounted volumes, without a word in the mount table
lvm_with pvmove -q -i 1 /dev/ram1 /dev/ram2
dmsetup suspend moving
dmsetup load moving --table "0 65536 linear /dev/ram1 0"
dmsetup resume moving
look moved

# One path of each fails; one volume comes, another is unmounted and its files stay
addpart "/dev/$(head_of "$one_path")" 1 2048 65536
filesystem_volume fabrics.example.com fabrics-2 pvc-partition "/dev/$(head_of "$one_path")p1" pod-8
echo offline >"/sys/block/$path_b/device/state"
rm "$nvmet/ports/4421/subsystems/$two_paths"
until_true state_is_not "$(controller_of 4421)" live
unmount_volume raid.example.com raid-1 pvc-raid pod-5
look degraded

# All paths
echo offline >"/sys/block/$path_a/device/state"
lost=$(controller_of 4420)
rm "$nvmet/ports/4420/subsystems/$two_paths"
until_true state_is_not "$lost" live
look lost
curl -sS http://127.0.0.1:9100/metrics >"$told/node-exporter.prom"

# The kernel gives up on the controllers and removes the namespace below its mount, as it does after ctrl_loss_tmo.
gone=$(head_of "$two_paths")
for controller in "$lost" "$(controller_of 4421)"; do echo 1 >"/sys/class/nvme/$controller/delete_controller"; done
is_gone() { [ ! -e "/sys/class/block/$gone" ]; }
until_true is_gone
look gone
