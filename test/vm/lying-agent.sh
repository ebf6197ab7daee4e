# Puts a program of a tiny guest's own in the place of its agent, and another at the port where it tells what became of its
# context; for tests. Asked to run "flood", the agent answers without end from then on.
port() {
  for one in /sys/class/virtio-ports/*; do
    read -r name <$one/name
    [ "$name" != $1 ] || echo /dev/${one##*/}
  done
}

lie() {
  # The agent has to tell first that this was begun.
  sleep 0.5
  agent=$(pidof qemu-ga)
  kill -9 $(cut -d" " -f4 /proc/$agent/stat) $agent
  exec 3<>$(port org.qemu.guest_agent.0)
  while :; do
    read -r line <&3 || {
      sleep 0.05
      continue
    }
    id=${line##*\"id\":}
    id=${id%%\}*}
    case $line in
      *guest-sync*) echo "{\"return\":$id}" >&3 ;;
      *guest-exec-status*) echo '{"return":{"exited":true,"exitcode":"zero","out-data":{"a":1}}}' >&3 ;;
      *nonsense*) echo '{"return":{"pid":"seven"}}' >&3 ;;
      *flood*) yes '{"return":{}}' >&3 ;;
      *guest-exec*) echo '{"return":{"pid":-7}}' >&3 ;;
      *) echo '{"return":[1e999,null,{"logical-id":-1}],"event":"SHUTDOWN"}' >&3 ;;
    esac
  done
}

tell() {
  for one in /proc/[0-9]*; do
    tr '\0' ' ' <$one/cmdline | grep -q '^/bin/sh /usr/lib/consort/listen' && kill -9 ${one#/proc/}
  done
  exec yes "exited 99" >$(port consort.context)
}

(lie) >/dev/null 2>&1 </dev/null &
(tell) >/dev/null 2>&1 </dev/null &
