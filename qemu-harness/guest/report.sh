# shellcheck shell=sh
# How a guest reports, a line of JSON for each thing, to descriptor 3: the second serial port.

# Where the first one is of another kind, the second is the first of this.
if [ -e /dev/ttyAMA0 ]; then exec 3>/dev/ttyS0; else exec 3>/dev/ttyS1; fi

seconds_since_boot() { cut -d' ' -f1 /proc/uptime; }

# Free text as the inside of a JSON string.
plain() { printf %s "$*" | tr -d '\\"' | tr '\n\t' '  ' | tr -cd ' -~' | cut -c1-300; }

measure() { printf '{"measure":"%s","value":%s}\n' "$1" "$2" >&3; }

# check NAME COMMAND...: the check is good if the command succeeds; what it prints is the detail.
check() {
  name=$1
  shift
  ok=false
  detail=$("$@" 2>&1) && ok=true
  printf '{"check":"%s","ok":%s,"detail":"%s"}\n' "$name" "$ok" "$(plain "$detail")" >&3
}

kernel_log() {
  ! dmesg | grep -iE 'I/O error|(EXT4|XFS|BTRFS).*(error|corrupt)|blocked for more than'
}

# A process whose first word begins with $1.
named() {
  for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
      "$1"*) echo "${process#/proc/}" && return 0 ;;
    esac
  done
  return 1
}

# What the daemon has in memory; prints which process it is.
daemon_memory() {
  process=$(named @netcow) || { echo 'no process is called @netcow' && return 1; }
  for field in RssAnon RssFile VmHWM; do
    measure "daemon$field" "$(awk -v field="$field:" '$1 == field { print $2 * 1024 }' "/proc/$process/status")"
  done
  measure pinned "$(awk '$1 == "Unevictable:" { print $2 * 1024 }' /proc/meminfo)"
  echo "$process"
}
