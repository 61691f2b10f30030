"""Our inference server beside the bare runtime, LitServe, BentoML and MLServer."""
