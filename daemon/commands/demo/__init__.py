"""`visaged demo`: a camera, a broker, the daemon and a consumer on this machine."""
