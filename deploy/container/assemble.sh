#!/bin/sh
# Puts beside the binary in IMAGE what it needs to run: assemble.sh GLIBC IMAGE, where GLIBC holds the unpacked package
# libc6 of the image's architecture. Its own script, so that a root file system can be made without an engine as well.
set -eu
glibc=$1 image=$2

for file in "$glibc"/lib/*-linux-gnu/libc.so.6 "$glibc"/lib/*-linux-gnu/libm.so.6 \
  "$glibc"/lib/*-linux-gnu/libdl.so.2 "$glibc"/lib/*-linux-gnu/libpthread.so.0 "$glibc"/lib/*-linux-gnu/ld-linux-*; do
  install -D -m 755 "$file" "$image/${file#"$glibc/"}"
done
# The interpreter that the binary names, a link into the directory above: /lib64 on amd64, /lib on arm64.
for link in "$glibc"/lib64/ld-linux-* "$glibc"/lib/ld-linux-*; do
  [ -e "$link" ] || [ -L "$link" ] || continue
  mkdir -p "$image/$(basename "$(dirname "$link")")"
  cp -d "$link" "$image/${link#"$glibc/"}"
done
install -D -m 644 "$glibc/usr/share/doc/libc6/copyright" "$image/usr/share/doc/libc6/copyright"

install -D -m 644 LICENSE "$image/usr/share/doc/plumbline/LICENSE"
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/ca-certificates.crt"
# Under this name it takes the flags and the pve.yml of prometheus-pve-exporter.
ln -sf plumbline "$image/usr/bin/pve_exporter"

mkdir -p "$image/etc"
cat >"$image/etc/passwd" <<'END'
root:x:0:0:root:/:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
plumbline:x:65532:65532:plumbline:/:/sbin/nologin
END
cat >"$image/etc/group" <<'END'
root:x:0:
nogroup:x:65534:
plumbline:x:65532:
END
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"

# The same sources make the same image, whenever it is built.
find "$image" -exec touch -h -d @0 {} +
