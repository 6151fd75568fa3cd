/** What each probe of the driver means, and how to mend it where. Data. */
export interface Explanation {
  readonly level: 'needed' | 'wanted' | 'information';
  /** counts in this mode only */
  readonly only?: 'user' | 'root';
  readonly meaning: string;
  readonly mends?: Partial<Record<'limit' | 'setfcap' | 'apparmor' | 'docker' | 'kubernetes' | 'podman' | 'wsl' | 'debian' | 'fedora' | 'other', string>>;
}

const APPARMOR_PROFILE = `Ubuntu forbids user namespaces to programs without an AppArmor profile. Install one for the driver, as root:
  cat > /etc/apparmor.d/agentfw <<'END'
  abi <abi/4.0>,
  include <tunables/global>
  profile agentfw "$DRIVER" flags=(unconfined) {
    userns,
    include if exists <local/agentfw>
  }
  END
  apparmor_parser -r /etc/apparmor.d/agentfw`;

const CONTAINER = {
  docker: 'Start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined (for root mode also --cap-add SYS_ADMIN)',
  podman: 'Start the container with --security-opt seccomp=unconfined --security-opt label=disable --security-opt unmask=ALL',
  kubernetes: 'Give the container securityContext {seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}, procMount: Unmasked} and the pod hostUsers: false',
} as const;

const USERNS = {
  ...CONTAINER,
  setfcap: 'Give root CAP_SETFCAP back (Docker, Podman: --cap-add SETFCAP; Kubernetes: securityContext {capabilities: {add: [SETFCAP]}}), or start as a plain user',
  limit: 'As root, where the limit was set (the machine, or the container around this one): sysctl -w user.max_user_namespaces=15000, and the same in /etc/sysctl.d/agentfw.conf',
  apparmor: APPARMOR_PROFILE,
  debian: 'As root: sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000, and the same in /etc/sysctl.d/agentfw.conf',
  fedora: 'As root: sysctl -w user.max_user_namespaces=15000, and the same in /etc/sysctl.d/agentfw.conf',
  wsl: 'Update the kernel: wsl --update (WSL 1 has none of this: wsl --set-version DISTRIBUTION 2)',
  other: 'Allow user namespaces: sysctl user.max_user_namespaces and the kernel option CONFIG_USER_NS',
} as const;

const KERNEL = {
  ...CONTAINER,
  apparmor: APPARMOR_PROFILE,
  wsl: 'Update the kernel: wsl --update',
  other: 'Use a kernel that has it: 5.11 or later for overlays of plain users, 6.12 or later for every protection',
} as const;

const LAYERS = {
  ...KERNEL,
  docker: `Put the store on a volume or a tmpfs, not on the container's own root: AGENTFW_STATE_DIR=/somewhere; and: ${CONTAINER.docker}`,
  podman: `Put the store on a volume or a tmpfs, not on the container's own root: AGENTFW_STATE_DIR=/somewhere; and: ${CONTAINER.podman}`,
  kubernetes: `Put the store on an emptyDir, not on the container's own root: AGENTFW_STATE_DIR=/somewhere; and: ${CONTAINER.kubernetes}`,
  other: 'Set AGENTFW_STATE_DIR to a directory on ext4, xfs, btrfs or tmpfs; kernel 5.11 or later',
} as const;

export const EXPLAINED: Readonly<Record<string, Explanation>> = {
  userns: { level: 'needed', meaning: 'a user namespace of one’s own: the base of everything without root', mends: USERNS },
  'inner-userns': { level: 'needed', meaning: 'a second one inside: it keeps the agent from undoing its view', mends: USERNS },
  mountns: { level: 'needed', meaning: 'a view of the files of one’s own', mends: KERNEL },
  'read-only-clone': { level: 'needed', meaning: 'a read-only copy of the mounts, as a whole (kernel 5.12)', mends: KERNEL },
  'overlay-userxattr': { level: 'needed', only: 'user', meaning: 'copy-on-write layers as a plain user, on the store’s filesystem (kernel 5.11)', mends: LAYERS },
  'root-mode': { level: 'needed', only: 'root', meaning: 'copy-on-write layers as root, on the store’s filesystem', mends: LAYERS },
  'overlay-volatile': { level: 'wanted', meaning: 'copy-up without a sync of each file; without it writes to existing files are slow', mends: KERNEL },
  'pidns-proc': { level: 'needed', meaning: 'processes of one’s own, with a /proc that shows only them', mends: KERNEL },
  'ipcns-mqueue': { level: 'needed', meaning: 'shared memory and message queues of one’s own', mends: KERNEL },
  utsns: { level: 'needed', meaning: 'a host name of one’s own', mends: KERNEL },
  cgroupns: { level: 'wanted', meaning: 'a view of the control groups of one’s own', mends: KERNEL },
  netns: { level: 'needed', meaning: 'a network of one’s own, for --net off and the gate', mends: KERNEL },
  gate: {
    level: 'wanted',
    meaning: 'the network gate, which --net ask and deny need: tproxy is its best rung, then redir, then notify',
    mends: { ...CONTAINER, other: 'As root: modprobe nf_tables nft_tproxy nft_redir; without them a seccomp listener must be free (no agentfw or container tool around this one). Until then: run --net off or --net allow' },
  },
  devpts: { level: 'needed', meaning: 'terminals of one’s own', mends: KERNEL },
  'no-new-privs': { level: 'needed', meaning: 'setuid programs gain nothing inside', mends: KERNEL },
  seccomp: { level: 'needed', meaning: 'system calls that could reach around the view are refused', mends: KERNEL },
  'io-uring-blocked': { level: 'needed', meaning: 'io_uring, which passes by system call filters, is refused', mends: KERNEL },
  landlock: { level: 'wanted', meaning: 'Landlock: a second wall around signals and sockets (kernel 6.12 for all of it)', mends: { ...KERNEL, other: 'Boot with lsm=landlock,… on the kernel’s command line, or use a newer kernel' } },
  'signal-scope': { level: 'wanted', meaning: 'signals and abstract sockets end at the sandbox (Landlock ABI 6)', mends: KERNEL },
  'close-range': { level: 'needed', meaning: 'no file descriptor is inherited', mends: KERNEL },
  'cgroup2-delegated': {
    level: 'wanted',
    meaning: 'memory, cpu and process limits of the whole tree by control groups; without them agentfw itself watches memory and processes, and cpu is not limited',
    mends: { other: 'Start agentfw from a systemd user session, or: systemd-run --user --scope -p Delegate=yes agentfw run …' },
  },
  'kernel/apparmor_restrict_unprivileged_userns': { level: 'information', meaning: 'Ubuntu’s restriction of user namespaces', mends: { apparmor: APPARMOR_PROFILE } },
  'kernel/unprivileged_userns_clone': { level: 'information', meaning: 'Debian’s switch for user namespaces', mends: USERNS },
  'user/max_user_namespaces': { level: 'information', meaning: 'how many user namespaces there may be', mends: USERNS },
  'vm/memfd_noexec': { level: 'information', meaning: 'whether programs in memory may run: some installers need it', mends: { other: 'As root: sysctl -w vm.memfd_noexec=0' } },
  'dev/tty/legacy_tiocsti': { level: 'information', meaning: 'whether the kernel lets programs type into terminals; agentfw refuses it in any case' },
};
