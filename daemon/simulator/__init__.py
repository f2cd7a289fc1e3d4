"""A simulated camera: an RTSP server and the clip that it shows. It serves the demo and the tests, not the daemon."""
