"""Whether a machine, or a cluster, is fit for campaigns; what to do where it is not."""
