# shellcheck shell=sh
# Random writes of a file in the overlay, each block with a checksum that is read back and compared,
# beside reads of the whole image. fio fails on the first block that is not what was written.
set -eu
printf '{"measure":"fio","value":1}\n' >/dev/ttyS1
(while :; do
  echo 3 >/proc/sys/vm/drop_caches
  find /usr -xdev -type f -exec cat {} + >/dev/null
done) &
reader=$!
fio --name=life --filename=/var/tmp/fio --size=96m --rw=randrw --bsrange=4k-64k --ioengine=libaio \
  --iodepth=16 --direct=1 --verify=crc32c --verify_backlog=256 --time_based --runtime=180 \
  --output-format=json --output=/run/fio.json
kill "$reader"
nanoseconds=$(awk -F'[:,]' '/"clat_ns"/ { inside = 1 } inside && /"max"/ { if ($2 > m) m = $2; inside = 0 } END { print m }' /run/fio.json)
printf '{"measure":"largestWaitSeconds","value":%s}\n' "$(awk -v n="$nanoseconds" 'BEGIN { print n / 1e9 }')" >/dev/ttyS1
grep '"error"' /run/fio.json | head -1
[ "$(grep -c '"error" : 0' /run/fio.json)" -ge 1 ]
grep -E '"total_ios"' /run/fio.json | head -3 | tr -d '\n'
