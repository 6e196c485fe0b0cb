"""Many regions on many machines: what jobs need, what a cluster does, where the world deforms, what it costs."""
