# Stops the server in $1/server and removes $1/server, once nobody has held the lock on $1/users for $2 seconds.
# Started detached, by whoever started the server; the lock on $1/supervisor keeps it alone.
trap '' HUP INT TERM
base=$1 linger=$2 idle=0

# locked FLAG FILE COMMAND...: runs COMMAND under an exclusive lock; FLAG is -n (now or never) or -w30 (wait 30 s).
if command -v flock >/dev/null 2>&1; then
    # -o: what the command starts does not hold the lock, only the waiting flock does.
    locked() { flock -x -o "$@"; }
else
    locked() {
        perl -MFcntl=:flock -e '
            my ($flag, $file, @command) = @ARGV; my $tries = $flag eq "-n" ? 1 : 300;
            open(my $lock, "+<", $file) or exit 1;
            until (flock($lock, LOCK_EX | LOCK_NB)) { exit 1 if --$tries < 1; select(undef, undef, undef, 0.1); }
            exit(system(@command) ? 1 : 0);' -- "$@"
    }
fi

if [ "$3" != alone ]; then
    locked -w30 "$base/supervisor" sh "$0" "$base" "$linger" alone
    exit
fi

if [ "$4" = stop ]; then
    pid=$(head -n 1 "$base/server/cluster/postmaster.pid" 2>/dev/null)
    # The id may have gone to another process since the server ended.
    if [ -n "$pid" ] && { [ ! -e /proc/self ] || grep -qF "$base/server/cluster" "/proc/$pid/cmdline" 2>/dev/null; }; then
        for signal in INT QUIT KILL; do
            kill -$signal "$pid" 2>/dev/null
            waited=0
            while kill -0 "$pid" 2>/dev/null && [ $waited -lt 100 ]; do
                sleep 0.1
                waited=$((waited + 1))
            done
            kill -0 "$pid" 2>/dev/null || break
        done
    fi
    rm -rf "$base/server"
    # A base of one process goes with it; the shared one keeps its lock files, which others may have open.
    [ "$linger" = 0 ] && rm -rf "$base"
    exit 0
fi

while :; do
    if [ ! -d "$base" ]; then exit; fi
    if locked -n "$base/users" true; then
        if [ "$idle" -ge "$linger" ] && locked -n "$base/users" sh "$0" "$base" "$linger" alone stop; then exit; fi
        idle=$((idle + 1))
    else
        idle=0
    fi
    sleep 1
done
