#!/bin/sh
# The line to the host manager: it sends contexts, we tell what became of them (see context/port-protocol.ts).
# One process holds the port, as a port can be opened once. Telling waits while nobody is connected, so the command is
# started first.
. /usr/lib/consort/context.sh

port_named() {
  for port in /sys/class/virtio-ports/*; do
    [ -e "$port/name" ] || continue
    read -r name <"$port/name"
    if [ "$name" = "$1" ]; then
      echo "/dev/${port##*/}"
      return 0
    fi
  done
  return 1
}

tell() { echo "$*" >&3; }

# Ends when the command ends; what it prints goes to the console.
run_command() {
  [ -n "$context_command" ] || return 0
  rm -f $context_run/exit-code
  (
    code=0
    "$context_command" </dev/null >/dev/console 2>&1 3>&- || code=$?
    say "the command ended with $code"
    echo "$code" >$context_run/exit-code
    tell "exited $code"
  ) &
}

# Of the boot, when it had a context.
after_boot() {
  [ -s $context_run/applied ] || return 0
  read -r outcome context_instance <$context_run/applied
  context_command=
  [ ! -x $context_run/context/command ] || context_command=$context_run/context/command
  run_command
  tell "$outcome $context_instance"
}

# Again what somebody may have missed.
tell_again() {
  tell "hello 1"
  told=
  [ ! -s $context_run/applied ] || read -r told <$context_run/applied
  [ -z "$told" ] || tell "$told"
  told=
  [ ! -s $context_run/exit-code ] || read -r told <$context_run/exit-code
  [ -z "$told" ] || tell "exited $told"
}

# bytes: a tar archive of so many bytes follows.
take_context() {
  before=
  [ ! -e $context_run/instance ] || read -r before <$context_run/instance
  rm -rf $context_run/context
  mkdir -m 700 $context_run/context
  if ! head -c "$1" <&3 | tar -x -f - -C $context_run/context; then
    tell "failed - the archive is damaged"
    return
  fi
  outcome=applied
  apply_context $context_run/context || outcome=failed
  [ ! -x /usr/lib/consort/identity-changed ] || /usr/lib/consort/identity-changed
  echo "$outcome $context_instance" >$context_run/applied
  # The same instance told twice goes on with what it runs.
  [ "$context_instance" = "$before" ] || run_command
  tell "$outcome $context_instance"
}

tries=0
until port=$(port_named consort.context); do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || exit 0
  sleep 0.1
done
exec 3<>"$port"
after_boot
while :; do
  # Nobody on the other side reads as the end of the file.
  if ! read -r verb size <&3; then
    sleep 0.05
    continue
  fi
  case $verb in
    context) take_context "$size" ;;
    hello) tell_again ;;
  esac
done
