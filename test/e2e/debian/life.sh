# The life of the package in a Debian 12 that has booted: installed, upgraded, disabled, removed, purged. Run as root in
# the guest of test/e2e/guest; $ROOT is the debootstrapped directory on the host. What is seen is left in /share.
set -e
outside() { nsenter -t 1 -m -r /bin/busybox "$@"; }
outside mkdir -p /memory/debian/upper /memory/debian/work /debian
outside mount -t overlay -o "lowerdir=/host$ROOT,upperdir=/memory/debian/upper,workdir=/memory/debian/work" overlay /debian
outside mkdir -p /debian/share
outside mount -o bind /new/share /debian/share
outside mount -t sysfs sysfs /debian/sys
outside mount -t cgroup2 cgroup2 /debian/sys/fs/cgroup
outside mount -t devtmpfs dev /debian/dev
# systemd makes mount namespaces for its units, so it needs a true root.
outside unshare -m -p -f /bin/busybox sh -c 'cd /debian && mount --move . / && exec chroot . /bin/sh -c \
  "mount -t proc proc /proc; exec env container=test /lib/systemd/systemd --log-target=kmsg --show-status=0"' &
until systemd=$(pgrep -x systemd); do sleep 0.2; done
debian() { nsenter -t "$systemd" -m -p -r -w timeout 100 "$@"; }
until debian test -S /run/systemd/private; do sleep 0.2; done
set +e
debian systemctl is-system-running --wait >/share/booted

# step NAME COMMAND...: what it says and how it ends; nobody is there to answer a question
step() {
  name=$1
  shift
  debian "$@" >"/share/$name" 2>&1 </dev/null
  echo "$name $?" >>/share/results
}
service() { debian systemctl show plumbline.service -p LoadState,ActiveState,UnitFileState; }
pid() { debian systemctl show plumbline.service -p MainPID --value; }
files() { debian find /etc /usr/bin /usr/lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d /usr/share/man /var/lib \
  -path /var/lib/dpkg -prune -o -print | sort; }

debian mkdir -p /var/lib/prometheus/node-exporter
files >/share/files-before
step installed dpkg -i /share/old.deb
service >/share/service-installed
debian systemctl is-enabled plumbline-textfile.timer >/share/timer
debian getent passwd plumbline >/share/user
debian stat -c '%A %U:%G %n' /etc/plumbline /etc/plumbline/plumbline.yml /var/lib/plumbline >/share/modes
step verified dpkg --verify plumbline
step asked-version plumbline --version
curl -sS http://127.0.0.1:9847/metrics >/share/metrics
before=$(pid)

debian sh -c 'echo PLUMBLINE_LOG_FORMAT=json >>/etc/default/plumbline'
step textfile systemctl start plumbline-textfile.service
step upgraded dpkg -i /share/new.deb
service >/share/service-upgraded
after=$(pid)
[ "$before" != "$after" ] && [ "$after" != 0 ] && echo restarted >/share/restarted
debian dpkg-query -W -f '${Version} ${db:Status-Status}' plumbline >/share/version
debian tail -n 1 /etc/default/plumbline >/share/conffile
debian find /var/lib/plumbline /var/lib/prometheus -type f >/share/state

# What an upgrade runs, without unpacking once more.
step disabled systemctl disable --now plumbline.service
step upgraded-while-disabled /var/lib/dpkg/info/plumbline.postinst configure 0.1.0
service >/share/service-disabled

step timer-enabled systemctl enable --now plumbline-textfile.timer
step removed dpkg -r plumbline
service >/share/service-removed
debian systemctl list-units --no-legend --state=active 'plumbline*' >/share/active-after-remove
debian find /etc/default/plumbline /etc/plumbline /var/lib/plumbline /var/lib/prometheus /usr/bin/plumbline >/share/left-by-remove 2>/dev/null
step purged dpkg -P plumbline
files >/share/files-after
exit 0
