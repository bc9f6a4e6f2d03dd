"""What masakari-qga costs a compute node, measured with the installed package on a real one: `make bench`."""
