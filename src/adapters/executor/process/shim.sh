# shim.sh SECONDS LIMIT OWNER MARKER COMMAND...
#
# Runs one job and outlives the worker that started it (I2). The working folder is the job's folder. Open on entry: 1 and 2 the job's output file (append),
# 3 the sandbox's arguments, 4 a pipe whose end tells the worker that the claim is decided, 5 and 6 what keeps the job's network alive.
# Every process here but the job's own ends by itself: the reader when the job's pipe closes, the sandbox when this shell dies.
seconds=$1 limit=$2 owner=$3 marker=$4
shift 4

# The claim: exactly one shim creates this file, so two starts at once make one job. One write, so a reader sees all of the line or none.
read -r boot </proc/sys/kernel/random/boot_id
read -r pid _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ start _ </proc/self/stat
set -C
{ echo "$pid $start $boot" >pid; } 2>/dev/null || exit 3
set +C
exec 4>&-

# The job's output is a pipe, not the file: `> /dev/stderr` in a script would cut the file. The pipe belongs to the job's user, or that line is refused.
run_sandbox() {
  [ "$owner" = - ] || chown "$owner" /proc/self/fd/1
  exec "$@" 2>&1 7>status 5<&- 6<&-
}

# Without a sandbox nothing ends what the job left behind but this: every process that carries the job's marker in its environment.
end_marked() {
  rounds=0
  while [ $rounds -lt 50 ]; do
    found=$(grep -lszxF "LOAM_JOB=$marker" /proc/[0-9]*/environ)
    [ -n "$found" ] || return
    for file in $found; do
      process=${file#/proc/}
      kill -KILL "${process%/environ}" 2>/dev/null
    done
    rounds=$((rounds + 1))
  done
}

run_plain() {
  # What this shell says when its command was killed is no output of the job: only the command itself writes its errors into the pipe.
  LOAM_JOB=$marker sh -c 'exec "$@" 2>&1' sh "$@" 2>/dev/null 3<&- 5<&- 6<&-
  echo "{ \"exit-code\": $? }" >status
  end_marked
}

end_job() {
  if [ "$marker" != - ]; then
    end_marked
    return
  fi
  child=
  read -r _ _ child _ <status
  # Without its process id the sandbox ends with this shell.
  kill -KILL "${child%,}" 2>/dev/null || kill -KILL $$
}

# Deadline and output limit in one reader: 10 when the deadline passed, 11 when the job wrote too much. The file size limit is the reader's alone, in blocks of 512.
copy_output() {
  exec 3<&- 5<&- 6<&-
  exec 2>/dev/null
  ulimit -f $(((limit + 511) / 512))
  timeout -s KILL "$seconds" cat
  case $? in
  0) exit 0 ;;
  153) verdict=11 ;;
  *) verdict=10 ;;
  esac
  end_job
  [ $verdict = 11 ] || cat
  exit $verdict
}

if [ "$marker" = - ]; then run_sandbox "$@"; else run_plain "$@"; fi | copy_output
case $? in
10) end=timed-out ;;
11) end=output-limit ;;
*)
  code=
  while read -r _ name value _; do
    [ "$name" = '"exit-code":' ] && code=$value
  done <status
  if [ -e stop ]; then end=stopped; elif [ -n "$code" ]; then end="exited $code"; else end=lost; fi
  ;;
esac
echo "$end" >exit
