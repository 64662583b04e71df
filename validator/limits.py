"""Every limit of the validator in one place, with its reason."""

# A check that prints more than this is stopped: its output is of no use to anybody and would fill the memory.
CHECK_OUTPUT_BYTES = 256 * 1024
# One result line from a check; a finding that lists more than this helps nobody.
RESULT_LINE_BYTES = 256 * 1024
# Address space of one child; threads and mapped files count, so it is well above what is really used.
CHECK_MEMORY_MB = 768
# Address space of a command that a check starts (the service's own interpreter loads language models).
COMMAND_MEMORY_MB = 16 * 1024
# Output kept of a command that a check starts.
COMMAND_OUTPUT_BYTES = 4 * 1024 * 1024
# Time a child has to start and name its first check; slow disks and busy hosts included.
WORKER_START_S = 20.0
# Added to a check's time limit before its child is killed, so that it can still report a timeout itself.
GRACE_S = 1.0
# Children that run side by side; performance checks always run alone.
PARALLEL_CHILDREN = 2
# State files of an installation (pointer, settings, unit) are small.
STATE_FILE_BYTES = 1024 * 1024
# A manifest or a receipt names every file of a release.
MANIFEST_BYTES = 64 * 1024 * 1024
# Answer of the service that is read.
HTTP_BODY_BYTES = 4 * 1024 * 1024
# A diagnosis report that the recovery assistant accepts.
REPORT_BYTES = 8 * 1024 * 1024
REPORT_RESULTS = 2000
# Names listed in one finding; the number of all of them is always given.
NAMES_LISTED = 8
# A child that sends more lines than this says nothing any more.
CHILD_MESSAGES = 4096
# A single-file plugin is a page or two of code.
PLUGIN_FILE_BYTES = 256 * 1024
# Plugins in one folder or environment, and checks in one plugin.
PLUGINS = 50
PLUGIN_CHECKS = 50
# Time a plugin has to be imported and to name its checks (the service's packages on a slow disk).
PLUGIN_LISTING_S = 20.0
# Longest time limit a plugin may ask for one check.
PLUGIN_TIMEOUT_S = 60.0
# Characters kept of a plugin's titles and other texts.
PLUGIN_TITLE = 120
PLUGIN_TEXT = 500
# Accepted findings in one file, and the length of a reason.
WAIVERS = 200
WAIVER_REASON = 300
