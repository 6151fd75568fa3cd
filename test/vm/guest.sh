#!/bin/bash
# Runs inside the machine that run.sh makes, as its root: the tests, then the end.
exec >/dev/ttyS0 2>&1
mapfile -t args </srv/guest.args
user=${args[0]} home=$(getent passwd "${args[0]}" | cut -d: -f6)
echo "kernel $(uname -r), as $user"
# A scope with delegation, as a login session has it.
systemd-run --quiet --pipe --wait --collect --uid="$user" -p Delegate=yes -p PAMName=login -p WorkingDirectory=/srv/agentfw \
  env HOME="$home" CI=true AGENTFW_TEST_DIR=/srv/areas AGENTFW_REQUIRE=userns,overlay,seccomp,landlock,tmux,gcc \
  npx vitest run --testTimeout=900000 --hookTimeout=900000 "${args[@]:1}"
echo "guest-status $?"
sync
systemctl poweroff -f
