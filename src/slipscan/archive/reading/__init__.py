"""Files of interferograms read: windows of rasters and of HDF5, in metres, radians and degrees."""
