# Sourced by the scripts beside it: phases that a person can follow, with their log in a file.
# shellcheck shell=bash
# Another instance, with ports of its own, can stand beside an installed one: tests do so.
readonly INSTANCE=${EDUBBA_INSTANCE:-edubba}
if [[ ! $INSTANCE =~ ^[a-z][a-z0-9]{0,7}$ ]]; then # it becomes part of paths that root removes
    echo "EDUBBA_INSTANCE is '$INSTANCE': use 1 to 8 small letters and digits." >&2
    exit 1
fi
# Used by the scripts that source this.
# shellcheck disable=SC2034
readonly PREFIX=/opt/$INSTANCE CONFIG=/etc/$INSTANCE RUN=/run/$INSTANCE
LOG=.cache/bootstrap.log
if [[ $EUID -eq 0 ]]; then LOG=/var/log/$INSTANCE/bootstrap.log; fi
mkdir -p "$(dirname "$LOG")"

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

# phase TEXT COMMAND…: run it quietly, say how long it took; on failure, show the end of the log.
phase() {
    local text=$1 start=$SECONDS before status
    shift
    printf '  %-52s ' "$text"
    printf '\n== %s: %s\n' "$(date -Is)" "$text" >>"$LOG"
    before=$(wc -l <"$LOG")
    set +e # in a condition, bash would go on after a command that failed inside
    (
        set -e
        "$@"
    ) >>"$LOG" 2>&1
    status=$?
    set -e
    if [[ $status -eq 0 ]]; then
        printf '%4d s\n' $((SECONDS - start))
    else
        printf 'failed after %d s\n\n' $((SECONDS - start))
        tail -n "+$((before + 1))" "$LOG" | tail -n 25 >&2
        fail "\"$text\" failed. The whole log: $(realpath "$LOG")"
    fi
}

# The digest of files and folders, by content.
digest_of() {
    find "$@" -type f -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
}
