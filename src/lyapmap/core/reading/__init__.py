"""Files that somebody else wrote: nothing is allocated, run or followed because a file says so."""
