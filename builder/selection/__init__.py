"""Selection: which exact files of a lock a target needs, and every reason why one cannot be had."""
