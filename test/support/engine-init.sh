# engine-init.sh FOLDER DOCKERD...
#
# First process of the test engine's own process namespace: with its end all that the engine began ends too, and so do the mounts. Starts the engine again when
# it was killed, unless (and until no longer) a file `held` lies in the folder.
folder=$1
shift
while :; do
  while [ -e "$folder/held" ]; do sleep 0.05; done
  # What a killed engine leaves: it would take them for a running one.
  rm -f "$folder/pid" "$folder/exec/containerd/containerd.pid"
  "$@" >>"$folder/log" 2>&1 </dev/null
  [ -e "$folder/held" ] || sleep 0.2
done
