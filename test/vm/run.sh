#!/usr/bin/env bash
# Runs tests on Debian's stock kernel, in a virtual machine made for it: systemd,
# control groups v2 with delegation, a Landlock without scopes. Emulated where the
# machine has no KVM, so it is no part of `.ci/run`.
#
#   test/vm/run.sh [--as root|tester] [--seconds N] [--keep DIR] VITEST-ARGUMENT…
#
# Needs root, and the packages qemu-system-x86 and debootstrap. DIR keeps the
# installed system for the next time. Ends with the status of vitest; 125 when
# the machine did not come so far.
set -euo pipefail
cd "$(dirname "$0")/../.."

as=root seconds=3600 dir=
while [ $# -gt 0 ]; do
  case $1 in
    --as) as=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --keep) dir=$2; shift 2 ;;
    --) shift; break ;;
    *) break ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo 'test/vm/run.sh: only root can install a system into a directory' >&2; exit 125; }
case $as in root | tester) ;; *) echo "test/vm/run.sh: --as root or --as tester" >&2; exit 125 ;; esac
for tool in debootstrap qemu-system-x86_64 mke2fs; do
  command -v "$tool" >/dev/null || { echo "test/vm/run.sh: $tool is missing: apt install debootstrap qemu-system-x86 e2fsprogs" >&2; exit 125; }
done
kept=$dir
[ -n "$dir" ] || dir=$(mktemp -d -p /var/tmp agentfw-vm-XXXXXX)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cleanup() { rm -f "$dir/disk.img"; [ -n "$kept" ] || rm -rf "$dir"; }
trap cleanup EXIT

# The packages come from where this machine has its own.
mirror() { cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | awk '$1 == "URIs:" { print $2; exit } $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^http/) { print $i; exit } }'; }

install_system() {
  local packages=linux-image-cloud-amd64,systemd-sysv,dbus,libpam-systemd,procps,iproute2,git,gcc,libc6-dev,make,python3,tmux,vim-tiny,less,acl,attr,e2fsprogs,btrfs-progs,xfsprogs,curl,ca-certificates,openssh-client,bubblewrap
  debootstrap --variant=minbase --include="$packages" bookworm "$dir/new" "$(mirror)"
  useradd --root "$dir/new" --create-home --shell /bin/bash tester
  echo '/dev/vda / ext4 rw 0 1' >"$dir/new/etc/fstab"
  echo '127.0.0.1 localhost' >"$dir/new/etc/hosts"
  # A login prompt there would hang up what the tests print.
  ln -sf /dev/null "$dir/new/etc/systemd/system/serial-getty@ttyS0.service"
  install -m 644 test/vm/agentfw-tests.service "$dir/new/etc/systemd/system/"
  mkdir -p "$dir/new/etc/systemd/system/multi-user.target.wants"
  ln -sf ../agentfw-tests.service "$dir/new/etc/systemd/system/multi-user.target.wants/"
  mv "$dir/new" "$dir/root"
}

# This machine's Node and this checkout as it is built now.
install_product() {
  local root=$dir/root npm
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  install -m 755 "$(readlink -f "$(command -v node)")" "$root/usr/bin/node"
  mkdir -p "$root/usr/lib/node_modules"
  rm -rf "$root/usr/lib/node_modules/npm" "$root/srv/agentfw"
  cp -a "$npm" "$root/usr/lib/node_modules/npm"
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/bin/npx"
  git clone -q . "$root/srv/agentfw"
  cp -a node_modules dist build "$root/srv/agentfw/"
  mkdir -p "$root/srv/agentfw/driver/build" "$root/srv/areas"
  cp -a driver/build/. "$root/srv/agentfw/driver/build/"
  chroot "$root" chown -R "$as:" /srv/agentfw /srv/areas
  cp test/vm/guest.sh "$root/srv/guest.sh"
  printf '%s\n' "$as" "$@" >"$root/srv/guest.args"
}

[ -d "$dir/root" ] || install_system >"$dir/install.log" 2>&1 || { tail -20 "$dir/install.log" >&2; exit 125; }
npm run -s build
install_product "$@"
truncate -s 8G "$dir/disk.img"
mke2fs -q -t ext4 -d "$dir/root" "$dir/disk.img"

# `max` is every processor feature that the emulation has.
timeout "$seconds" qemu-system-x86_64 -accel "${AGENTFW_VM_ACCEL:-tcg}" -cpu max -smp 2 -m 4096 -nographic -no-reboot -nic none \
  -kernel "$dir"/root/boot/vmlinuz-* -initrd "$dir"/root/boot/initrd.img-* \
  -append 'root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.show_status=0' \
  -drive "file=$dir/disk.img,format=raw,if=virtio,cache=unsafe" </dev/null | tee "$dir/console.log" || true
status=$(tr -d '\r' <"$dir/console.log" | sed -n 's/^.*guest-status \([0-9]*\)$/\1/p')
exit "${status:-125}"
