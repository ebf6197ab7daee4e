# What is done for a job inside its appliance, by any POSIX shell: VERB NAME [ARGUMENT...]. Each attempt has a directory:
#
#   began/   it is not to be begun again          run    what setsid runs: the program, and who waits for it
#   pid      "PID START" of the latter, before..  claim/ ..the one who makes this decides: run's, or that it never runs
#   out.N    what it wrote, a MiB each            exit   how it ended
#   in.N     a file on its way in                 work/  its working directory, unless it names one
set -u
umask 077
verb=$1 name=$2
shift 2
top=
for base in /var/tmp /tmp; do
  if [ -d "$base" ] && [ -w "$base" ]; then top=$base/consort-jobs-$(id -u); break; fi
done
fail() { echo "$1" >&2; exit "${2:-70}"; }
[ -n "$top" ] || fail "neither /var/tmp nor /tmp can be written"
dir=$top/$name
enter() {
  [ -d "$top" ] || mkdir "$top" 2>/dev/null
  [ -d "$top" ] && [ ! -L "$top" ] && [ -O "$top" ] || fail "$top is not a directory of its own"
  [ -d "$dir" ] || mkdir "$dir" || fail "cannot make $dir"
}
at_work() { work=${1:-$dir/work}; mkdir -p "$work" && cd "$work" || fail "cannot enter $work"; }
size() { if [ -e "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }
# Of a process: since boot, so that a stranger with its number is told from it. Empty: it is not there.
start_of() {
  line=$(cat "/proc/$1/stat" 2>/dev/null) || { start=; return 0; }
  set -- ${line##*) }
  [ "$1" = Z ] && start= || start=${20}
}
# The next piece of what it wrote, as a copy, since the file may go meanwhile: sets its part, offset and length.
piece() {
  find_piece "$@"
  [ "$length" -eq 0 ] && return 0
  tail -c "+$((offset + 1))" "$dir/$1.$part" 2>/dev/null | head -c "$length" >"$dir/$1.piece.$$"
  length=$(size "$dir/$1.piece.$$")
}
find_piece() {
  part=$2 offset=$3 length=0
  if [ ! -e "$dir/$1.$part" ]; then
    next=
    for file in "$dir/$1".[0-9]*; do
      number=${file##*.}
      [ -e "$file" ] && [ "$number" -gt "$part" ] && { [ -z "$next" ] || [ "$number" -lt "$next" ]; } && next=$number
    done
    [ -n "$next" ] || return 0
    part=$next offset=0
  fi
  have=$(size "$dir/$1.$part")
  if [ "$offset" -ge "$have" ]; then
    [ -e "$dir/$1.$((part + 1))" ] || return 0
    part=$((part + 1)) offset=0
    have=$(size "$dir/$1.$part")
  fi
  length=$((have - offset))
  [ "$length" -le "$4" ] || length=$4
}
show() { if [ -e "$dir/$1.piece.$$" ]; then cat "$dir/$1.piece.$$"; rm -f "$dir/$1.piece.$$"; fi; }
# Processes of the session that run leads, itself left out.
members() {
  list=
  for file in /proc/[0-9]*/stat; do
    line=$(cat "$file" 2>/dev/null) || continue
    number=${line%% *}
    set -- ${line##*) }
    [ "$4" = "$pid" ] && [ "$number" != "$pid" ] && [ "$1" != Z ] && list="$list $number"
  done
}

case $verb in
begin)
  enter
  mkdir -p "$dir/work"
  mkdir "$dir/began" 2>/dev/null || { echo already; exit 0; }
  cat >"$dir/run" && mkfifo "$dir/o" "$dir/e" || fail "cannot write below $dir"
  if command -v setsid >/dev/null; then session=setsid; else session=; fi
  $session /bin/sh "$dir/run" "$dir" </dev/null >/dev/null 2>&1 &
  tries=0
  until [ -e "$dir/claim" ] || [ "$tries" -ge 100 ]; do sleep 0.05; tries=$((tries + 1)); done
  echo begun
  ;;
look)
  state=none code=0
  if [ -d "$dir/began" ]; then
    if [ ! -e "$dir/pid" ]; then
      mkdir "$dir/claim" 2>/dev/null
      state=gone
    else
      read -r pid began <"$dir/pid"
      start_of "$pid"
      if [ -e "$dir/exit" ]; then state=ended; read -r code <"$dir/exit"
      elif [ "$start" = "$began" ]; then state=running
      elif [ -e "$dir/exit" ]; then state=ended; read -r code <"$dir/exit"
      else state=gone; fi
    fi
  elif [ -d "$dir" ]; then mkdir "$dir/began" 2>/dev/null
  fi
  piece out "$1" "$2" "$5"
  first="$part $offset $length"
  piece err "$3" "$4" "$5"
  echo "$state $code $first $part $offset $length"
  show out
  show err
  ;;
end)
  [ -d "$dir" ] || exit 0
  mkdir "$dir/began" 2>/dev/null
  [ -e "$dir/pid" ] || { mkdir "$dir/claim" 2>/dev/null; exit 0; }
  read -r pid began <"$dir/pid"
  start_of "$pid"
  [ -z "$start" ] || [ "$start" = "$began" ] || exit 0
  grace=$1 signal=TERM
  while members; [ -n "$list" ]; do
    kill -s "$signal" $list 2>/dev/null
    [ "$signal" = KILL ] || kill -s CONT $list 2>/dev/null
    sleep 0.1
    grace=$((grace - 1))
    if [ "$grace" -le 0 ]; then signal=KILL; kill -s KILL "$pid" 2>/dev/null; fi
    [ "$grace" -gt -50 ] || fail "its processes do not end, not even killed"
  done
  # Who waits for it writes down how it ended.
  tries=0
  while start_of "$pid"; [ "$start" = "$began" ] && [ "$tries" -lt 60 ]; do sleep 0.05; tries=$((tries + 1)); done
  ;;
put)
  enter
  [ "$2" -ne 0 ] || : >"$dir/in.$1"
  [ "$(size "$dir/in.$1")" = "$2" ] || fail "not all of it is there"
  cat >>"$dir/in.$1" || fail "no room for it"
  ;;
place)
  enter
  [ ! -e "$dir/placed.$1" ] || exit 0
  at_work "$2"
  case $3 in */*) mkdir -p "${3%/*}/" || fail "cannot make ${3%/*}" ;; esac
  [ ! -d "$3" ] || fail "$3 is a directory"
  if [ "$4" = append ] && [ -e "$3" ]; then cat "$dir/in.$1" >>"$3" || fail "cannot append to $3"
  elif [ "$4" != keep ] || [ ! -e "$3" ]; then
    chmod 755 "$dir/in.$1"
    mv -f -- "$dir/in.$1" "$3" || fail "cannot write $3"
  fi
  rm -f "$dir/in.$1"
  : >"$dir/placed.$1"
  ;;
size)
  at_work "$1"
  [ -f "$2" ] || fail "there is no file $2"
  [ -r "$2" ] || fail "it may not read $2"
  size "$2"
  ;;
take)
  at_work "$1"
  tail -c "+$(($3 + 1))" -- "$2" | head -c "$4"
  ;;
clear)
  at=$1
  shift
  if [ -d "${at:-$dir/work}" ]; then cd "${at:-$dir/work}" && for path; do rm -f -- "$path"; done; fi
  cd / && rm -rf -- "$dir"
  rmdir "$top" 2>/dev/null
  ;;
*) fail "unknown verb $verb" ;;
esac
exit 0
