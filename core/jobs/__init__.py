"""Background work: declared by plugins, run by `cito worker`."""
