"""FlashCam FCIO streams, in files of their own and inside ORCA packets."""
