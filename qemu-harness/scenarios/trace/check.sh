# shellcheck shell=sh
# What the kernel asked of its devices, on the second serial port; boot-trace.ts picks the reads.
trace=/sys/kernel/tracing/trace
sed -n 's/.* \([0-9.]*\): block_rq_issue: \([0-9]*,[0-9]*\) \([A-Z]*\) .* () \([0-9]*\) + \([0-9]*\) .*/request \1 \2 \3 \4 \5/p' $trace >&3
grep -c block_rq_issue $trace
