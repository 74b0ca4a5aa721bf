# shim.sh SECONDS LIMIT SCRIPT
#
# First process of a job's container: keeps deadline and output limit while no worker is there, and says how the job ended (I2). Any /bin/sh, with cat, sleep and
# mkfifo. Nobody in the container can kill it, since it is the first process; the job could kill its helpers, and then harms itself: the worker keeps the deadline too.
#
# The engine's stop signal is KILL, so TERM comes from Loam alone: a job that the engine ended on its own restart is lost, not stopped.
seconds=$1 limit=$2 script=$3
unset HOSTNAME
# An engine starts an ended container again when it is asked to: what has begun once does not begin again.
[ -s /run/loam/begun ] && exit 0
echo 1 >/run/loam/begun
verdict=
asked=

# Processes of the job are all whose number is above the helpers'; those that have ended and wait for their parent do not count.
find_job() {
  found=
  for folder in /proc/[0-9]*; do
    process=${folder#/proc/}
    [ "$process" -gt "$last" ] && [ "$process" != "$1" ] && read -r stat <"$folder/stat" || continue
    case ${stat##*)} in ' Z '* | ' X '*) ;; *) found="$found $process" ;; esac
  done 2>/dev/null
}

kill_job() {
  while find_job 0 && [ -n "$found" ]; do
    kill -KILL $found 2>/dev/null
  done
}

end_shell() {
  [ "$asked" = all ] || kill -TERM "$shell" 2>/dev/null
  asked=all
  kill -CONT "$shell" 2>/dev/null
}

# TERM comes again and again. The script's shell is halted meanwhile, or it would begin its next command; it is asked when the others have ended.
ask() {
  verdict=${verdict:-stopped}
  [ "$asked" = all ] && return
  [ -n "$asked" ] || kill -STOP "$shell" 2>/dev/null
  find_job "$shell"
  if [ -z "$found" ]; then
    end_shell
  elif [ -z "$asked" ]; then
    kill -TERM $found 2>/dev/null
    asked=others
  fi
}

finish() {
  verdict=${verdict:-$1}
  kill_job
}

last=1
shell=0
trap ask TERM
trap 'verdict=${verdict:-stopped}; end_shell' USR1
trap 'finish stopped' USR2
trap 'finish timed-out' ALRM
trap 'finish output-limit' HUP

# A pipe and not the file, since `> /dev/stderr` in a script would cut the file. The limit on file sizes is the reader's alone, in blocks of 512.
pipe=/run/loam/tmp/output
mkfifo -m 600 "$pipe" || exit 125
exec 3<>"$pipe" # so that no opening of it waits
sh -c 'trap "" TERM; ulimit -f "$1"; env cat <"$2" >>/run/loam/output; [ $? -lt 128 ] || kill -HUP 1' reader $(((limit + 511) / 512)) "$pipe" 2>/dev/null 3>&- &
reader=$!
sh -c 'trap "" TERM; env sleep "$1" && kill -ALRM 1' clock "$seconds" 3>&- &
clock=$!
# Until both have their own child (by env, since a shell may have these as its own): then all that comes later is the job's.
while set -- /proc/[0-9]* && [ $# -lt 5 ]; do :; done
for folder in "$@"; do
  [ "${folder#/proc/}" -gt "$last" ] && last=${folder#/proc/}
done

sh -c "$script" </dev/null >"$pipe" 2>&1 3>&- &
shell=$!
exec 3>&-
while wait "$shell"; code=$?; kill -0 "$shell" 2>/dev/null; do :; done
kill_job
wait "$reader"
echo "${verdict:-exited $code}" >/run/loam/exit
