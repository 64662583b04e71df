"""Power cuts: the operations of real runs, replayed into a disk that forgets what it may forget."""
