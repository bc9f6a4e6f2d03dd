#!/bin/sh
# How an application on a Linux guest is, for a health check of masakari-qga (kind = exec). See docs/health-checks.rst.
#
#   check.sh [--unit UNIT] [--port PORT] [--url URL] [--starting FILE] [--reset FILE] [--seconds N]
#
# --unit      a unit of systemd must be active
# --port      something must listen on this TCP port
# --url       must be answered with 2xx or 3xx; takes curl, or wget
# --starting  while this file is there, what is not well is still coming up
# --reset     while this file is there, the guest asks to be recovered; its first line is the reason. In /run, or it
#             would outlive the recovery and ask for the next
# --seconds   that each of these may take (3)
#
# The first three may be given several times. One line is printed, of 200 bytes at most, and the exit code is
# 0 healthy, 1 unhealthy, 2 initialising, 3 unknown; of several the worst counts, and unhealthy is worse than unknown.
# It needs no more than a POSIX shell, and runs as whoever runs qemu-ga.
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
exec </dev/null 2>/dev/null
set -f

HEALTHY=0 UNHEALTHY=1 INITIALISING=2 UNKNOWN=3
code=$HEALTHY bad='' good='' starting='' reset='' seconds=3

# found CODE TEXT
found() {
    if [ "$1" -eq $HEALTHY ]; then
        good="$good${good:+, }$2"
        return
    fi
    bad="$bad${bad:+, }$2"
    case "$1 $code" in
        "$UNHEALTHY "*) code=$UNHEALTHY ;;
        "$UNKNOWN $HEALTHY" | "$UNKNOWN $INITIALISING") code=$UNKNOWN ;;
        "$INITIALISING $HEALTHY") code=$INITIALISING ;;
    esac
}

# One line, of characters that are harmless anywhere. Ends the script.
answer() {
    printf '%.200s\n' "$(printf '%s' "$2" | tr '\n' ' ' | tr -cd ' -~')"
    exit "$1"
}

# Nobody waits here for what hangs.
within() {
    if command -v timeout >/dev/null; then timeout "$seconds" "$@"; else "$@"; fi
}

unit() {
    if ! states=$(within systemctl show --property=LoadState --property=ActiveState -- "$1"); then
        found $UNKNOWN "systemd does not answer"
        return
    fi
    case "$states" in
        *LoadState=not-found*) found $UNKNOWN "there is no unit $1" ;;
        *ActiveState=active* | *ActiveState=reloading*) found $HEALTHY "$1 is active" ;;
        *ActiveState=activating*) found $INITIALISING "$1 is activating" ;;
        *) found $UNHEALTHY "$1 is ${states##*ActiveState=}" ;;
    esac
}

port() {
    case "$1" in
        '' | *[!0-9]* | ??????*) answer $UNKNOWN "check.sh: --port takes a number" ;;
    esac
    # The kernel's own table, in which 0A is a socket that listens.
    if [ ! -r /proc/net/tcp ]; then
        found $UNKNOWN "/proc/net/tcp cannot be read"
    elif cat /proc/net/tcp /proc/net/tcp6 | grep -q "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F]*:0000 0A "; then
        found $HEALTHY "port $1 listens"
    else
        found $UNHEALTHY "nothing listens on port $1"
    fi
}

url() {
    if command -v curl >/dev/null; then
        status=$(curl --silent --noproxy '*' --max-time "$seconds" --output /dev/null --write-out '%{http_code}' -- "$1")
        case "$status" in
            2?? | 3??) found $HEALTHY "$1 answers $status" ;;
            000 | '') found $UNHEALTHY "$1 does not answer" ;;
            *) found $UNHEALTHY "$1 answers $status" ;;
        esac
    elif command -v wget >/dev/null; then
        if within wget -q -O /dev/null -- "$1"; then
            found $HEALTHY "$1 answers"
        else
            found $UNHEALTHY "$1 does not answer as it should"
        fi
    else
        found $UNKNOWN "there is neither curl nor wget"
    fi
}

# Twice over the words: what is a time or a file holds for all of them, wherever it stands.
for pass in 1 2; do
    word=''
    for value in "$@"; do
        case "$pass $word" in
            [12]\ ) word=$value && continue ;;
            '1 --seconds') seconds=$value ;;
            '1 --starting') starting=$value ;;
            '1 --reset') reset=$value ;;
            '1 --unit' | '1 --port' | '1 --url' | '2 --seconds' | '2 --starting' | '2 --reset') ;;
            '2 --unit') unit "$value" ;;
            '2 --port') port "$value" ;;
            '2 --url') url "$value" ;;
            *) answer $UNKNOWN "check.sh: there is no option $word" ;;
        esac
        word=''
    done
    [ -z "$word" ] || answer $UNKNOWN "check.sh: $word takes a value"
    if [ "$pass" = 1 ] && [ -n "$reset" ] && [ -e "$reset" ]; then
        answer $UNHEALTHY "reset-me $(head -c 180 "$reset" | head -n 1)"
    fi
done

if [ $code -ne $HEALTHY ] && [ -n "$starting" ] && [ -e "$starting" ]; then
    code=$INITIALISING
fi
[ -n "$bad$good$reset" ] || answer $UNKNOWN "check.sh: nothing was asked for; give --unit, --port or --url"
answer $code "${bad:-${good:-no reset is asked for}}"
